"""Every problem has a name of its own."""

from app import errors, faults, model_errors, task_errors
from app.errors import FieldError, Problem, RequestInvalid


def test_slugs_are_unique_and_everything_is_named():
    found = [one for module in (errors, faults, model_errors, task_errors) for one in vars(module).values()]
    problems = {one for one in found if isinstance(one, type) and issubclass(one, Problem) and one is not Problem}
    assert len({problem.slug for problem in problems}) == len(problems) > 15
    for problem in problems:
        assert 400 <= problem.status < 600
        assert problem.title
        assert problem.__doc__
        assert (problem.status == 401) == ("WWW-Authenticate" in problem.headers)


def test_a_single_field_makes_the_detail():
    problem = RequestInvalid.because("cursor", "is damaged")
    assert (problem.detail, problem.errors) == ("cursor: is damaged", (FieldError("cursor", "is damaged"),))
