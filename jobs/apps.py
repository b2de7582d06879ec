from typing import Any

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        # Models cannot be imported before.
        from accounts.actions.quotas import quota_changed  # noqa: PLC0415
        from accounts.signals import rights_changed  # noqa: PLC0415
        from jobs import dispatch, places  # noqa: PLC0415

        def tell(user: int, **_: Any) -> None:
            dispatch.rights_changed(user)

        def give_out(workspace: int, **_: Any) -> None:
            places.quota_changed(workspace)

        quota_changed.connect(give_out, weak=False, dispatch_uid="places")
        rights_changed.connect(tell, weak=False, dispatch_uid="live view")
