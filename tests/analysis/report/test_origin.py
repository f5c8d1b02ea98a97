"""What all sections share is said once, the rest where it belongs."""

from mmoverlock.analysis.report.origin import describe, split_origins

from .conftest import facts


def test_what_differs_is_said_by_section():
    origins = dict(a=facts(), b=facts(), c=facts(images=50000, machine='a GPU'))
    common, own = split_origins({name: describe(one) for name, one in origins.items()})
    assert common['Machine'] == 'a CPU, 2 threads'
    assert common['Images'] == '12\u202f345 of 50\u202f000, spread over the set'
    assert own == dict(a={}, b={}, c=dict(Machine='a GPU', Images='50\u202f000'))
