"""The browser we drive: real keys and clicks reach a page, and what it says, asks for and downloads is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import needs_chromium
from tests.driving import driving

PAGE = """<!doctype html><meta charset="utf-8"><title>a form</title>
<input name="word" value="old"><button hidden>Send</button><button>Send</button><button>Send all</button><p id="said"></p>
<script>
const said = document.getElementById('said'), keys = [];
document.addEventListener('keydown', e => keys.push(e.code + (e.ctrlKey ? '+' : '')));
for (const b of document.querySelectorAll('button')) b.onclick = e => {
  said.textContent = b.textContent + ':' + document.querySelector('input').value + ':' + e.isTrusted;
  const a = document.createElement('a');
  a.href = URL.createObjectURL(new Blob([document.querySelector('input').value]));
  a.download = 'word.txt'; a.click();
};
console.error('that was wrong');
fetch('missing.json').catch(() => 0);
</script>"""


@needs_chromium
def test_a_page_is_typed_into_clicked_and_photographed(tmp_path: Path) -> None:
    (tmp_path / "form.html").write_text(PAGE, encoding="utf-8")
    with driving(tmp_path, width=900, height=500) as page:
        page.open(f"file://{tmp_path}/form.html")
        page.fill("input", "كلمة")
        page.press("1")
        page.press("Enter", "Control")
        page.click("button", "Send")
        assert page.wait_for("said.textContent") == "Send:كلمة1:true"
        assert page.evaluate("keys.slice(-2)") == ["Digit1", "Enter+"]
        assert page.evaluate("Promise.resolve([innerWidth, innerHeight])") == [900, 500]
        assert page.downloaded("*.txt").read_text(encoding="utf-8") == "كلمة1"
        assert page.console[0] == "that was wrong"
        assert page.requests[:2] == [f"file://{tmp_path}/form.html", f"file://{tmp_path}/missing.json"]
        assert page.screenshot(tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
        with pytest.raises(AssertionError, match=r"waited for said\.never"):
            page.wait_for("said.never", seconds=0.3)
