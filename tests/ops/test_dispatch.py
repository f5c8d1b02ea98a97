"""Which backend is selected, and what is said of the others."""

from __future__ import annotations

import pytest
import torch

from mmoverlock.ops import available_backends, backend
from mmoverlock.ops.dispatch import OPERATORS, Backend, Operator, known, recording

CPU = torch.device('cpu')


@pytest.fixture
def operator(monkeypatch):
    """An operator with backends under real names: `natten` is never available."""
    monkeypatch.delenv('MMOVERLOCK_BACKEND', raising=False)
    made = Operator(
        'sample',
        Backend('natten', lambda x: 'natten', available=lambda device: 'it is not installed'),
        Backend('numba', lambda x: 'numba', supports=lambda x: 'x is odd' if x % 2 else None),
        Backend('triton', lambda x: 'triton', unasked=lambda device: 'it is slow'),
        Backend('reference', lambda x: 'reference'),
    )
    yield made
    del OPERATORS['sample']


def test_the_first_backend_that_can_runs(operator):
    assert operator(2, device=CPU) == 'numba'
    assert operator(1, device=CPU) == 'reference'
    assert available_backends('cpu', 'sample') == ['numba', 'triton', 'reference']


def test_argument_comes_before_context_and_context_before_environment(operator, monkeypatch):
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    assert operator(2, device=CPU) == 'reference'
    with backend('numba'):
        assert operator(2, device=CPU) == 'numba'
        assert operator(2, device=CPU, backend='triton') == 'triton'
        with backend(sample='reference'):
            assert operator(2, device=CPU) == 'reference'
        with backend('auto'):
            assert operator(2, device=CPU) == 'numba'
    assert operator(2, device=CPU) == 'reference'


def test_an_operator_of_the_context_comes_before_the_rest(operator):
    with backend('reference', sample='auto'):
        assert operator(2, device=CPU) == 'numba'
    with backend('numba', sample='triton'):
        assert operator(2, device=CPU) == 'triton'


def test_what_was_asked_for_runs_where_it_is_supported(operator):
    with backend('numba'):
        assert operator(1, device=CPU) == 'reference'
    with pytest.raises(ValueError, match="'numba' cannot run here: x is odd; allowed are"):
        operator(1, device=CPU, backend='numba')


@pytest.mark.parametrize('ask', ['argument', 'context', 'environment'])
def test_what_cannot_run_raises_and_says_why(operator, monkeypatch, ask):
    message = "'natten' cannot run here: it is not installed; allowed are"
    if ask == 'environment':
        monkeypatch.setenv('MMOVERLOCK_BACKEND', 'natten')
    with backend('natten' if ask == 'context' else None), pytest.raises(ValueError, match=message):
        operator(2, device=CPU, backend='natten' if ask == 'argument' else None)


def test_unknown_names_are_refused(operator, monkeypatch):
    with pytest.raises(ValueError, match="unknown backend 'fast': allowed are"):
        operator(2, device=CPU, backend='fast')
    with pytest.raises(ValueError, match="unknown backend 'fast': allowed are"), backend('fast'):
        pass
    with pytest.raises(ValueError, match="unknown operator 'convolve': allowed are"):
        with backend(convolve='numba'):
            pass
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'fast')
    with pytest.raises(ValueError, match="unknown backend 'fast': allowed are"):
        operator(2, device=CPU)


def test_a_request_ends_with_its_context_also_after_an_error(operator):
    with pytest.raises(KeyError), backend('reference'):
        raise KeyError
    assert operator(2, device=CPU) == 'numba'


def test_every_selection_is_recorded_with_reasons(operator):
    with recording() as records:
        operator(2, device=CPU)
        operator(1, device=CPU)
        operator(2, device=CPU, backend='triton')
    assert [record.backend for record in records] == ['numba', 'reference', 'triton']
    assert records[0].reasons == {
        'natten': 'it is not installed',
        'triton': 'it is slow',
        'reference': 'numba is preferred',
    }
    assert records[1].reasons['numba'] == 'x is odd'
    assert records[2].reasons['numba'] == 'triton was asked for'


def test_the_fastest_runs_where_inputs_are_measured(operator, monkeypatch):
    from mmoverlock.ops import autotune

    monkeypatch.setattr(autotune, '_chosen', {})
    monkeypatch.setattr(
        autotune, '_seconds', lambda run, device: 1.0 if run.func(2) == 'reference' else 2.0
    )
    with recording() as records:
        assert operator(2, device=CPU, kind=('small',)) == 'reference'
    assert records[0].reasons['numba'] == 'slower, as measured'
    assert autotune.choices() == {('sample', CPU, 'small'): 'reference'}
    with backend('numba'):
        assert operator(2, device=CPU, kind=('small',)) == 'numba'


def test_only_the_measured_backends_are_rivals(operator, monkeypatch):
    from mmoverlock.ops import autotune

    monkeypatch.setattr(autotune, '_chosen', {})
    monkeypatch.setattr(autotune, '_seconds', lambda run, device: len(run.func(2)))  # of its name
    monkeypatch.setattr(operator, 'measured', ('numba', 'reference'))
    with recording() as records:
        assert operator(2, device=CPU, kind=('small',)) == 'numba'
        assert operator(1, device=CPU, kind=('small',)) == 'reference'
    assert records[0].reasons['reference'] == 'slower, as measured'
    monkeypatch.setattr(operator, 'measured', ('numba',))
    with recording() as records:
        assert operator(2, device=CPU, kind=('other',)) == 'numba'
    assert records[0].reasons['reference'] == 'numba is preferred'


def test_every_operator_has_a_reference_which_comes_last():
    for name, operator in OPERATORS.items():
        assert [*operator.backends][-1] == 'reference', name
    assert {'natten', 'numba', 'reference', 'triton'} <= set(known())
