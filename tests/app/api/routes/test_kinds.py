"""What may be asked for, as each role sees it."""

from core.messages import PAYLOADS


def kinds(person):
    return {kind["kind"]: kind for kind in person.get("/tasks/kinds").json()["data"]}


def test_each_account_sees_what_it_may_ask_for(visitor, service, admin):
    assert kinds(visitor).keys() == {"recommend"}
    assert kinds(admin).keys() == PAYLOADS.keys() - {"refresh_shard", "import_model", "rank"}
    assert kinds(visitor).keys() < kinds(service).keys() < kinds(admin).keys()


def test_a_kind_tells_how_it_is_run_and_who_may_ask(admin):
    told = kinds(admin)["train"]
    assert (told["queue"], told["max_attempts"], told["roles"]) == ("train", 3, ["admin"])
    assert told["description"].startswith("Train models")


def test_the_schema_names_every_field_and_no_other_is_accepted(visitor):
    schema = kinds(visitor)["recommend"]["payload_schema"]
    assert schema["properties"].keys() == {"user_id"}
    assert (schema["required"], schema["additionalProperties"]) == (["user_id"], False)
