"""What administrators did, as it is read."""


def test_only_an_admin_reads_it(visitor, service, admin):
    assert [person.get("/audit").status_code for person in (visitor, service, admin)] == [403, 403, 200]


def test_entries_are_paged_newest_first_and_filtered(admin, connection):
    for number in range(5):
        connection.execute(
            "INSERT INTO audit_entries (actor, action, subject) VALUES (%s, 'task.requeue', %s)",
            ("ada" if number % 2 else "bob", f"task:{number}"),
        )
    seen, cursor = [], None
    while True:
        page = admin.get("/audit", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [entry["subject"] for entry in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"task:{number}" for number in (4, 3, 2, 1, 0)]
    assert [entry["subject"] for entry in admin.get("/audit", params={"actor": "ada"}).json()["data"]] == ["task:3", "task:1"]
    assert [entry["actor"] for entry in admin.get("/audit", params={"subject": "task:2"}).json()["data"]] == ["bob"]
    assert admin.get("/audit", params={"action": "task.dance"}).json()["data"] == []


def test_a_wrong_parameter_is_named(admin, complaint):
    for params in ({"cursor": "WyJ4Il0"}, {"actor": "\x00"}, {"limit": 0}):
        assert list(complaint(admin.get("/audit", params=params))) == list(params)
