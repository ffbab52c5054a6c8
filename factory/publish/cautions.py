"""What a person should know before a version is public: texts that were taken out of it go along in `dropped/`."""

from __future__ import annotations

from typing import Any

TELLING = {
    "pii": "personal data",
    "decontaminate": "questions of benchmarks",
    "banned_words": "words of a list of banned ones",
}
"""Steps whose dropped rows somebody may not want to see published, and what these hold."""


def cautions(manifest: dict[str, Any]) -> list[str]:
    """One sentence for each such step that took rows out of a corpus."""
    if manifest["kind"] == "model":
        return []
    found = []
    for step in manifest["steps"]:
        lost = manifest["rows"]["dropped"].items()
        count = sum(n for key, n in lost if key.partition(".")[0] == step["label"])
        if count and step["step"] in TELLING:
            found.append(
                f"dropped/ goes along, with {count:,} row{'s' * (count != 1)} that '{step['label']}' took out for "
                f"{TELLING[step['step']]}"
            )
    return found
