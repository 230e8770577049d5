"""The API as its own document describes it."""

import re

import pytest


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json()


def operations(document):
    return [(path, method, operation) for path, methods in document["paths"].items() for method, operation in methods.items()]


def test_every_operation_has_a_summary_a_tag_and_its_problems(document):
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        assert operation["summary"], (path, method)
        assert set(operation["tags"]) <= tags
        if path.startswith("/api/"):
            assert {"422", "503"} <= operation["responses"].keys(), (path, method)
        if "security" in operation:
            assert "401" in operation["responses"], (path, method)


def test_problems_are_described_once_and_fastapis_own_shape_is_gone(document):
    assert document["components"]["schemas"]["Problem"]["properties"].keys() >= {"type", "title", "status", "detail"}
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if status[0] in "45" and "application/json" not in response["content"]:
                assert response["content"]["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_every_reference_leads_somewhere(document, client):
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', client.get("/openapi.json").text))
    assert references <= document["components"]["schemas"].keys()


def test_only_signing_in_and_what_it_needs_are_open(document):
    open_paths = {path for path, _, operation in operations(document) if "security" not in operation}
    assert open_paths == {
        "/livez", "/readyz", "/api/v1/categories",
        "/api/v1/auth/register", "/api/v1/auth/token", "/api/v1/auth/refresh", "/api/v1/auth/logout",
    }  # fmt: skip


def test_the_examples_of_bodies_are_accepted(document, admin, client, films):
    examples = {name: schema["example"] for name, schema in document["components"]["schemas"].items() if "example" in schema}
    assert client.post("/api/v1/auth/register", json=examples.pop("AccountCreate")).status_code == 201
    for path, name in (("/items", "ItemCreate"), ("/users", "UserCreate"), ("/interactions", "InteractionCreate")):
        answer = admin.post(path, examples.pop(name))
        assert answer.status_code == 201, answer.text
    assert admin.post("/recommendations/session", examples.pop("SessionCreate")).status_code == 200
    assert admin.post("/impressions", examples.pop("ShownCreate")).json()["recorded_count"] == 1
    assert admin.post("/experiments", examples.pop("ExperimentCreate")).status_code == 201
    for example in document["components"]["schemas"]["TaskCreate"]["examples"]:
        assert admin.post("/tasks", example).status_code == 202
    batch = admin.post("/tasks/batch", examples.pop("BatchCreate"))
    assert batch.json()["counts"] == {"coalesced": 1, "not_found": 1}
    assert examples == {}


def test_the_documentation_needs_no_other_host(client):
    page = client.get("/docs").text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(assets) == 3
    for asset in assets:
        assert asset.startswith("/static-offline-docs/")
        assert client.get(asset).status_code == 200
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_authorize_signs_in_by_the_password_flow(document, client):
    (scheme,) = document["components"]["securitySchemes"].values()
    flow = scheme["flows"]["password"]
    assert (scheme["type"], flow["tokenUrl"]) == ("oauth2", "/api/v1/auth/token")
    client.post("/api/v1/auth/register", json={"email": "ada@example.org", "password": "correct horse"})
    # What Swagger's form sends.
    form = {
        "grant_type": "password",
        "username": "ada@example.org",
        "password": "correct horse",
        "scope": "",
        "client_id": "",
        "client_secret": "",
    }
    token = client.post(flow["tokenUrl"], data=form, headers={"X-Requested-With": "XMLHttpRequest"}).json()["access_token"]
    assert client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200
