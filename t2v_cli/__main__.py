"""python -m t2v_cli"""

from t2v_cli.main import app

if __name__ == "__main__":
    app(prog_name="t2v")
