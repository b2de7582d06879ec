import pytest
from django.conf import LazySettings
from django.test import Client

from jobs.lifecycle import State

pytestmark = pytest.mark.django_db


def test_the_styleguide_is_a_page_of_the_debug_mode_alone(
    client: Client, settings: LazySettings
) -> None:
    assert client.get("/styleguide").status_code == 404
    settings.DEBUG = True
    page = client.get("/styleguide").content.decode()
    assert all(f'data-state="{state}"' in page for state in State)
    assert 'data-colour="stage-veil"' in page
    assert "icons.svg#star-filled" in page


def test_a_page_comes_in_the_theme_that_was_chosen_and_in_the_systems_for_nonsense(
    client: Client,
) -> None:
    for chosen, shown in [("dark", "dark"), ("light", "light"), ('"><script>', "auto")]:
        client.cookies["theme"] = chosen
        page = client.get("/").content.decode()
        assert f'<html lang="en" data-theme="{shown}">' in page
        assert "<script>" not in page
        assert page.count(f'value="{shown}" checked') == 1


def test_a_message_that_can_be_taken_back_has_a_form_that_does_so(
    client: Client, settings: LazySettings
) -> None:
    settings.DEBUG = True
    page = client.get("/styleguide?toast=1").content.decode()
    assert '<form method="post" action="/styleguide"><input type="hidden" name="csrfmi' in page
    assert 'class="toast success"' in page
