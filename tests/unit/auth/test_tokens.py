"""Case 44: what is no token of ours is refused, however it was made."""

import base64
import hmac
import json
import stat
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from cluster.errors import InvalidApiKey, SettingsError
from deployments.gateway.auth.tokens import AUDIENCE, ISSUER, Tokens, signing_secret
from tests.unit.auth.conftest import auth_settings
from tests.unit.gateway.conftest import settings_with

SECRET = b"0123456789abcdefghijklmnopqrstuv"
TOKENS = Tokens(SECRET, life=timedelta(minutes=15))


def claims(**changes: Any) -> dict[str, Any]:
    moment = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user_1",
        "sid": "s1",
        "jti": "j1",
        "iat": moment,
        "nbf": moment,
        "exp": moment + 60,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(secret: bytes = SECRET, header: dict[str, Any] | None = None, alg: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm=alg, headers=header)


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def by_hand(secret: bytes) -> str:
    """Signed with what PyJWT itself would not take."""
    said = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}"
    signature = hmac.new(secret, said.encode(), "sha256").digest()
    return f"{said}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def tampered() -> str:
    header, _, signature = TOKENS.issue(account_id="user_1", session_id="s1").split(".")
    return f"{header}.{part(claims(role='admin', sub='user_2'))}.{signature}"


def test_a_token_of_ours_names_its_account_and_session() -> None:
    read = TOKENS.read(TOKENS.issue(account_id="user_1", session_id="s1"))
    assert (read.account_id, read.session_id) == ("user_1", "s1")
    assert read.expires_at == pytest.approx(time.time() + 900, abs=5)
    assert TOKENS.read(signed()).account_id == "user_1"


def test_what_is_signed_by_hand_like_ours_is_ours() -> None:
    assert TOKENS.read(by_hand(SECRET)).session_id == "s1"


def test_no_two_tokens_are_alike() -> None:
    assert TOKENS.issue(account_id="a", session_id="s") != TOKENS.issue(account_id="a", session_id="s")


PAST = int(time.time()) - 60
BAD = {
    "alg none": f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}.",
    "alg None in odd case": f"{part({'alg': 'nOnE', 'typ': 'JWT'})}.{part(claims())}.",
    "another secret": signed(b"another secret of the same length"),
    "a public key as the secret": by_hand(b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC0 a@b"),
    "HS512": signed(SECRET * 2, alg="HS512"),
    "a kid": signed(header={"kid": "../../dev/null"}),
    "a crit": signed(header={"crit": ["exp"]}),
    "a key inside": signed(header={"jwk": {"kty": "oct", "k": "YQ"}}),
    "a key elsewhere": signed(header={"jku": "http://127.0.0.1/keys"}),
    "another typ": signed(header={"typ": "at+jwt"}),
    "expired": signed(exp=PAST),
    "not yet valid": signed(nbf=int(time.time()) + 3600),
    "made in the future": signed(iat=int(time.time()) + 3600),
    "another audience": signed(aud="other"),
    "several audiences": signed(aud=[AUDIENCE, "other"]),
    "another issuer": signed(iss="other"),
    "no expiry": signed(exp=None),
    "no id": signed(jti=None),
    "no session": signed(sid=None),
    "a session that is no text": signed(sid=7),
    "an expiry that is no number": signed(exp="soon"),
    "tampered": tampered(),
    "a megabyte": "a" * 1_000_000,
    "a megabyte of claims": signed(more="a" * 1_000_000),
    "dots": "..",
    "nothing": "",
    "not base64": "ä.ö.ü",
    "nested deeply": f"{base64.urlsafe_b64encode(b'[' * 900).decode()}.e30.e30",
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD)
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(InvalidApiKey):
        TOKENS.read(token)


def test_the_home_keeps_a_secret_that_nobody_else_reads(tmp_path: Path) -> None:
    settings = settings_with(home=str(tmp_path))
    secret = signing_secret(settings)
    kept = tmp_path / "secrets" / "jwt"
    assert len(secret) >= 32
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert signing_secret(settings) == secret
    assert [path.name for path in kept.parent.iterdir()] == ["jwt"]


def test_a_kept_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    settings = settings_with(home=str(tmp_path))
    signing_secret(settings)
    (tmp_path / "secrets" / "jwt").chmod(0o644)
    with pytest.raises(SettingsError, match="others may read"):
        signing_secret(settings)


def test_an_emptied_secret_is_refused(tmp_path: Path) -> None:
    settings = settings_with(home=str(tmp_path))
    signing_secret(settings)
    (tmp_path / "secrets" / "jwt").write_text("")
    with pytest.raises(SettingsError, match="too short"):
        signing_secret(settings)


def test_a_public_key_is_no_secret() -> None:
    with pytest.raises(SettingsError, match="public"):
        signing_secret(auth_settings(jwt_secret="ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC0 a@b"))


@pytest.mark.parametrize("secret", ["short", "a" * 64, "0123456789abcdefghijklmnopqrstu"])
def test_a_weak_secret_is_refused_at_load_and_not_repeated(secret: str) -> None:
    with pytest.raises(SettingsError, match=r"auth\.jwt_secret: too weak") as refused:
        auth_settings(jwt_secret=secret)
    assert secret not in refused.value.line()
