from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import mfa, sign_ins, signals  # noqa: PLC0415 - models cannot be imported before

        signals.connect()
        mfa.connect()
        sign_ins.connect()
