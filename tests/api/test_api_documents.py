"""The committed pages are those of the app, and every error that the service can name has its row in the table."""

import ast
import html
import json
import re
from pathlib import Path

import pytest

from service.api import documents
from service.api.problems import PROBLEMS, problem_of
from service.domain.person import UNSUITABLE_CODES
from tests.api.conftest import Edge

ROOT = Path(__file__).resolve().parents[2]
ERRORS = {
    "ServiceError", "RequestError", "of_field", "StorageError", "OverloadedError", "JobStateError", "BackendError",
    "JobFailure", "AccessError", "_invalid", "_format_error",
}  # fmt: skip
# A start-up failure: it never becomes an answer.
NOT_ON_THE_WIRE = {"configuration", "model_repository"}


def codes_in_python(path: Path) -> set[str]:
    """The literal codes that this module gives to errors."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        first = node.args[0]
        is_own_code = name == "__init__" and path.name == "errors.py"
        if (name in ERRORS or is_own_code) and isinstance(first, ast.Constant) and isinstance(first.value, str):
            found.add(first.value)
    return found


def codes_of_the_service() -> set[str]:
    """Every code in service/, that of the queue's functions and of the processes that find persons too."""
    found = {code for path in (ROOT / "service").rglob("*.py") for code in codes_in_python(path)}
    lua = "".join(path.read_text() for path in (ROOT / "service/adapters/lua").glob("*.lua"))
    return found | set(re.findall(r"\bfail\([^')]*'(\w+)'", lua)) | set(UNSUITABLE_CODES)


@pytest.mark.parametrize("name", documents.pages())
def test_page_when_compared_with_the_committed_one_then_equal(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == documents.pages()[name], "run `make docs`"


def test_documents_when_a_page_is_not_current_then_the_check_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert documents.main([str(tmp_path)]) == 0
    assert documents.main([str(tmp_path), "--check"]) == 0

    (tmp_path / "errors.md").write_text("old")

    assert documents.main([str(tmp_path), "--check"]) == 1
    assert "errors.md is not current" in capsys.readouterr().err
    assert (tmp_path / "errors.md").read_text() == "old"


def test_codes_when_collected_from_the_code_then_the_search_finds_the_known_kinds() -> None:
    known = {"attempts_exhausted", "not_found", "resource_exhausted", "expired", "keypoints_format", "image_animated"}

    assert known <= codes_of_the_service()


def test_codes_when_raised_anywhere_then_the_table_has_them_and_no_others() -> None:
    framework = {"method_not_allowed"}  # named by a table of statuses, never raised

    assert codes_of_the_service() - NOT_ON_THE_WIRE == set(PROBLEMS) - framework


@pytest.mark.parametrize("code", PROBLEMS)
def test_page_of_a_problem_when_its_type_is_followed_then_it_says_what_to_do(edge: Edge, code: str) -> None:
    response = edge.client.get(problem_of(code, "it")["type"])

    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    for text in (code, PROBLEMS[code].title, PROBLEMS[code].remedy):
        assert text in html.unescape(response.text)


@pytest.mark.parametrize("code", ["nothing", "<script>", "..%2f..", "x" * 5000])
def test_page_of_a_problem_when_there_is_none_then_404(edge: Edge, code: str) -> None:
    response = edge.client.get(f"/problems/{code}")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert "<script>" not in response.text


def test_table_when_read_then_statuses_are_errors_and_only_passing_ones_may_be_repeated() -> None:
    for code, kind in PROBLEMS.items():
        assert 400 <= kind.status <= 599, code
        assert kind.is_retryable == (kind.status in (429, 503, 504) or code == "not_finished"), code
        assert kind.title, code
        assert kind.remedy.endswith("."), code


def test_openapi_when_read_then_operations_are_named_once_and_list_their_problems() -> None:
    document = json.loads(documents.pages()["openapi.json"])
    operations = [operation for path in document["paths"].values() for operation in path.values()]

    assert document["openapi"].startswith("3.1")
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")):
                assert list(answer["content"]) == ["application/problem+json"], operation["operationId"]
                codes = re.findall(r"`(\w+)`", answer["description"])
                assert {PROBLEMS[code].status for code in codes} == {int(status)}
