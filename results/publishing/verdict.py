"""What a drift check says, value by value, and how it is told: exit status, Markdown, JSON, JUnit."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal
from xml.etree import ElementTree as ET

Verdict = Literal["same", "moved", "cannot tell", "not compared"]
FailOn = Literal["moved", "unsure"]
_STATUS: dict[Verdict, int] = {"same": 0, "moved": 1, "cannot tell": 3, "not compared": 4}

_GRAVEST_FIRST: tuple[Verdict, ...] = ("moved", "not compared", "cannot tell", "same")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The verdict on one value.

    Attributes:
        subject: what the value is of, such as a loss on a dataset.
        measure: which of its values, such as a metric in a setting.
        reference: the value that should be, `candidate` the one that is; `None` where there is none.
        why: one clause that gives the reason.
        decides: whether the check cannot tell if this one cannot.
    """

    subject: str
    measure: str
    verdict: Verdict
    reference: float | None
    candidate: float | None
    why: str
    decides: bool = True


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """All findings of one check.

    Attributes:
        title: what was compared.
        rule: how a verdict comes about, in sentences.
        findings: in the order of the reference.
        notes: what else a reader must know.
    """

    title: str
    rule: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Give the gravest of the findings: moved, not compared, cannot tell, same; without one nothing is compared."""
        found = {one.verdict for one in self.findings if one.decides or one.verdict != "cannot tell"}
        found = found or {"not compared"}
        return next(verdict for verdict in _GRAVEST_FIRST if verdict in found)

    @property
    def status(self) -> int:
        """Give the exit status of the check: 0 same, 1 moved, 3 cannot tell, 4 not compared."""
        return _STATUS[self.verdict]

    def status_where(self, fail_on: FailOn) -> int:
        """Give the exit status where what cannot be told is to fail (`unsure`), or only what `moved`."""
        return 0 if fail_on == "moved" and self.verdict == "cannot tell" else self.status


def markdown(verdicts: Verdicts) -> str:
    """Give the check for a CI summary: the verdict, what is not the same, and the count of the rest."""
    counts = Counter(finding.verdict for finding in verdicts.findings)
    told = ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in _STATUS if counts[verdict] or verdict != "not compared"
    )
    lines = [f"## {verdicts.title}: {verdicts.verdict}", "", f"{told}. {verdicts.rule}", *verdicts.notes, ""]
    unlike = sorted(
        (finding for finding in verdicts.findings if finding.verdict != "same"),
        key=lambda one: _GRAVEST_FIRST.index(one.verdict),
    )
    if unlike:
        lines += ["| verdict | of | value | reference | candidate | why |", "| --- | --- | --- | ---: | ---: | --- |"]
        lines += [
            f"| {finding.verdict} | {_cell(finding.subject)} | {finding.measure} | {_number(finding.reference)} "
            f"| {_number(finding.candidate)} | {_cell(finding.why)} |"
            for finding in unlike
        ]
        lines.append("")
    return "\n".join(lines)


def to_json(verdicts: Verdicts) -> str:
    """Give the check as JSON, for other tools."""
    content = {"verdict": verdicts.verdict, "status": verdicts.status, **asdict(verdicts)}
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def junit(verdicts: Sequence[Verdicts]) -> str:
    """Give checks as JUnit XML: what moved or was not compared fails, what cannot be told is skipped."""
    root = ET.Element("testsuites")
    for one in verdicts:
        counts = Counter(finding.verdict for finding in one.findings)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=one.title,
            tests=str(len(one.findings)),
            failures=str(counts["moved"] + counts["not compared"]),
            skipped=str(counts["cannot tell"]),
            errors="0",
        )
        for finding in one.findings:
            case = ET.SubElement(suite, "testcase", classname=finding.subject, name=finding.measure)
            if finding.verdict != "same":
                ET.SubElement(
                    case,
                    "skipped" if finding.verdict == "cannot tell" else "failure",
                    message=f"{finding.verdict}: {finding.why}",
                )
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"
