"""Every problem has a name of its own."""

from app import errors, model_errors
from app.errors import FieldError, Problem, RequestInvalid


def test_slugs_are_unique_and_everything_is_named():
    problems = [
        found
        for found in {**vars(errors), **vars(model_errors)}.values()
        if isinstance(found, type) and issubclass(found, Problem) and found is not Problem
    ]
    assert len({problem.slug for problem in problems}) == len(problems) > 15
    for problem in problems:
        assert 400 <= problem.status < 600
        assert problem.title
        assert problem.__doc__
        assert (problem.status == 401) == ("WWW-Authenticate" in problem.headers)


def test_a_single_field_makes_the_detail():
    problem = RequestInvalid.because("cursor", "is damaged")
    assert (problem.detail, problem.errors) == ("cursor: is damaged", (FieldError("cursor", "is damaged"),))
