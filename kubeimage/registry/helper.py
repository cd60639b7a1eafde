"""Credential helpers: programs that keep passwords, named in the Docker config file.

Source: docker/docker-credential-helpers, the protocol on standard input and output. What is secret goes through pipes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess

from kubeimage.disk.programs import find_program
from kubeimage.errors import CredentialsError
from kubeimage.framing import check_line
from kubeimage.image import canonical

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = "credentials not found"
_PATIENCE = 120.0


class CredentialHelper:
    """The program ``docker-credential-NAME``."""

    def __init__(self, name: str, *, where: str) -> None:
        if not _NAME.fullmatch(name):
            raise CredentialsError(f"{where} names a credential helper that cannot be one: {name!r}")
        self.program = f"docker-credential-{name}"
        self._where = where

    def get(self, server: str) -> tuple[str, str] | None:
        """Return user name and secret for ``server``, None where the helper has none.

        Raises: CredentialsError.
        """
        answer = self._run("get", server)
        if answer is None:
            return None
        try:
            found = canonical.loads(answer)
            return str(found["Username"]), str(found["Secret"])
        except (ValueError, KeyError, TypeError):
            # Not even the decoder's message is shown, for it could quote the secret.
            raise CredentialsError(f"{self.program} gave an answer for {server} that is not understood") from None

    def store(self, server: str, user: str, secret: str) -> None:
        """Keep user name and secret for ``server``.

        Raises: CredentialsError.
        """
        self._run("store", json.dumps({"ServerURL": server, "Username": user, "Secret": secret}))

    def erase(self, server: str) -> bool:
        """Forget what is kept for ``server``; whether there was anything.

        Raises: CredentialsError.
        """
        return self._run("erase", server) is not None

    def _run(self, action: str, text: str) -> bytes | None:
        check_line(text, f"what {self.program} is asked for")
        program = find_program(self.program)
        if program is None:
            raise CredentialsError(
                f"the credential helper {self.program}, which {self._where} names, is not installed",
                hint="install it in a folder of PATH, or take its name out of that file and log in again",
            )
        try:
            done = subprocess.run(
                [program, action], input=text.encode(), capture_output=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            what = "did not end" if isinstance(error, subprocess.TimeoutExpired) else "cannot be run"
            reason = f": {os.strerror(error.errno)}" if isinstance(error, OSError) and error.errno else ""
            raise CredentialsError(f"the credential helper {self.program} {what}{reason}") from None
        if done.returncode == 0:
            return done.stdout
        # Helpers say on standard output what went wrong. Of `store` and of an answer nothing else is secret.
        said = (done.stdout or done.stderr).decode(errors="replace").strip()
        if _NOT_FOUND in said.lower():
            return None
        raise CredentialsError(
            f"the credential helper {self.program} failed to {action} credentials: "
            f"{said[:200] or f'exit status {done.returncode}'}",
            hint=f"it is named in {self._where}",
        )
