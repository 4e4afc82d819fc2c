"""``python -m tests.deploy.installed COMMAND``: an installed ``freellmapi`` serves, pages too.

Run on a wheel in an empty virtual environment, from a folder that has nothing to do with
the checkout: what is not in the wheel is not found.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import requests

from tests.e2e.server import CLOCK, PATIENCE, free_port


def main() -> None:
    command = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "FREELLMAPI_DATA_DIR": f"{folder}/data",
            "PORT": str(free_port()),
        }
        process = subprocess.Popen(
            [command, "serve", "--write-key"], env=environ, cwd=folder, start_new_session=True
        )
        try:
            check(process, f"http://127.0.0.1:{environ['PORT']}", command, environ, folder)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def check(
    process: subprocess.Popen[bytes], url: str, command: str, environ: dict[str, str], folder: str
) -> None:
    give_up = CLOCK.monotonic() + PATIENCE
    while not is_alive(url):
        assert process.poll() is None and CLOCK.monotonic() < give_up
        CLOCK.sleep(0.1)
    given = subprocess.run(
        [command, "admin", "create", "--password-stdin"],
        input="correct horse\n",
        env=environ,
        cwd=folder,
        text=True,
        check=False,
    )
    assert given.returncode == 0
    page = requests.get(f"{url}/login", timeout=PATIENCE)
    assert page.status_code == 200 and 'name="password"' in page.text
    assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert any(asset.partition("?")[0].endswith(".css") for asset in assets), assets
    folder_of_version = "/".join(assets[0].split("/")[:3])
    assets.append(f"{folder_of_version}/js/frame.js")
    for asset in assets:
        answer = requests.get(url + asset, timeout=PATIENCE)
        assert answer.status_code == 200 and answer.content, asset
    assert (Path(folder) / "data" / "freellmapi.db").is_file()
    print(f"the installed command serves /login and {len(assets)} files of it")


def is_alive(url: str) -> bool:
    try:
        return bool(requests.get(f"{url}/healthz", timeout=5).json()["status"] == "ok")
    except (requests.ConnectionError, ValueError):
        return False


if __name__ == "__main__":
    main()
