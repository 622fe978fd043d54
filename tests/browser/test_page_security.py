"""Two users of OpenSearch's security plugin see their own documents on the page."""

from __future__ import annotations

from pathlib import Path

from tests.browser.chromium import Tab
from tests.browser.test_compare_page import link
from tests.nodes.secure import SecureNode
from tests.nodes.secure_collection import load_collection
from tests.running import running_sidecar


async def test_alice_and_bob(secure_3: SecureNode, tab: Tab, tmp_path: Path) -> None:
    load_collection(secure_3)
    upstream = {
        "urls": [secure_3.url],
        "tls": {"ca_file": str(secure_3.ca)},
        "username": "admin",
        "password": secure_3.users["admin"],
    }
    plan = {"deadline_ms": 20_000, "fusion": {"method": "replace"}}
    with running_sidecar(
        tmp_path, secure_3.url, {"secure": plan}, {"docs1": "secure"}, main={"upstream": upstream}
    ) as sidecar:
        page = link(sidecar, index="docs1", q="quarterly report", fields="dept,secret", size="20")
        # Without an account the sidecar's own one is not used: the page asks.
        await tab.send("Page.navigate", url=page)
        for user, departments, sees_secrets in (
            ("alice", {"public", "private"}, True),
            ("bob", {"public"}, False),
        ):
            await tab.until("document.getElementById('account-dialog')?.open")
            await tab.run(
                "{const d = document.getElementById('account-dialog');"
                f" const f = d.querySelector('form').elements; f.user.value = '{user}';"
                f" f.password.value = '{secure_3.users[user]}';"
                " d.querySelector('.primary').click()}"
            )
            # The account reaches the page with the dialog's end; the lists of before must be gone.
            await tab.until("!document.querySelector('.before')")
            await tab.until("document.querySelectorAll('#list-b li').length")
            await tab.run("document.querySelector('#list-b .same-run button')?.click()")
            shown = " ".join(await tab.texts("#list-b .hit"))
            assert {one for one in ("public", "private") if f"dept: {one}" in shown} == departments
            assert ("secret-" in shown) == sees_secrets
            await tab.run(
                "document.querySelectorAll('#list-b li').forEach((e) => e.classList.add('before'))"
            )
            await tab.click("#account")
        await tab.press("Escape")

        # OpenSearch no longer accepts the account: the page says so, and asks for another.
        await tab.run(
            "sessionStorage.setItem('rescore-account', 'Basic ' + btoa('bob:expired'));"
            "document.querySelector('#search .primary').click()"
        )
        await tab.until("document.getElementById('account-dialog').open")
        assert "does not know this account" in await tab.text("#account-dialog .why")
        await tab.run(
            "{const d = document.getElementById('account-dialog');"
            " const f = d.querySelector('form').elements; f.user.value = 'alice';"
            f" f.password.value = '{secure_3.users['alice']}';"
            " d.querySelector('.primary').click()}"
        )
        await tab.until(
            "!document.querySelector('.before') && !document.querySelector('dialog[open]')"
        )
        await tab.until("document.querySelectorAll('#list-b li').length")
