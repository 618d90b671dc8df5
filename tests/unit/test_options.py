"""The options, from the configuration and from a call."""

import math
import re

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from supervisor_restarter.options import BadOption, Call, from_call, from_config
from supervisor_restarter.restart.settings import Limit, Settings

SECONDS = 'must be a number of seconds greater than 0'
BATCHES = 'must be a whole number, 1 or greater'
LIMIT = 'must be a whole number, 0 or greater, or a percentage above 0% and up to 100%'

GOOD = [
    ('delay', '0.5', 0.5), ('delay', '1e-3', 0.001), ('timeout', '30', 30.0),
    ('stagger_factor', '3', 3), ('max_unavailable', '0', Limit(0)),
    ('max_unavailable', '2', Limit(2)), ('max_unavailable', '25%', Limit(25, True)),
    ('max_unavailable', '12.5 %', Limit(12.5, True)), ('max_surge', '1', Limit(1)),
    ('max_surge', '25%', Limit(25, True)), ('max_unavailable', '0.1%', Limit(0.1, True)),
]

BAD = [
    *((name, value, SECONDS) for name in ('delay', 'timeout')
      for value in ('', 'soon', '0', '-1', 'nan', 'inf', '-inf', '1e999', '1s', '25%', '1_0',
                    '\u0661')),
    *(('stagger_factor', value, BATCHES) for value in ('', 'many', '0', '-1', '1.5', 'nan', 'inf')),
    *((name, value, LIMIT) for name in ('max_unavailable', 'max_surge')
      for value in ('', 'some', '-1', '1.5', '-1%', '0%', '0.0 %', '-0%', '1e-999%', '101%', '%',
                    'nan%', 'inf', 'inf%', '25%%')),
]

# What XML-RPC can carry and the configuration file cannot.
BAD_IN_A_CALL = [
    *((name, value, SECONDS) for name in ('delay', 'timeout')
      for value in (True, None, [], {}, float('nan'), float('inf'), 0, -1.0, 10 ** 400)),
    *(('stagger_factor', value, BATCHES) for value in (True, 1.5, 0, [1], None, float('inf'))),
    *(('max_unavailable', value, LIMIT) for value in (True, -1, 1.5, None, {}, float('nan'))),
    *(('wait', value, 'must be a boolean') for value in (0, 1, 'yes', None)),
]


def complain(sentence):
    raise AssertionError(sentence)


def test_without_options_there_are_the_defaults():
    assert from_config({}, complain).of('web') == Settings(
        0.2, None, 1, Limit(0), Limit(0), 0.0, False)
    assert from_call(Settings(timeout=9.0), {}) == Call(Settings(timeout=9.0), wait=True)


@pytest.mark.parametrize('name, text, value', GOOD)
def test_a_value_that_can_be_is_taken_from_both(name, text, value):
    assert getattr(from_config({name: text}, complain).default, name) == value
    assert getattr(from_call(Settings(), {name: text})[0], name) == value


@pytest.mark.parametrize('options, expected', [
    ({'delay': 1, 'timeout': 2.5}, Call(Settings(1.0, 2.5))),
    ({'stagger_factor': 2.0}, Call(Settings(stagger_factor=2))),
    ({'max_unavailable': 3, 'wait': False}, Call(Settings(max_unavailable=Limit(3)), wait=False)),
    ({'reread': True}, Call(Settings(), reread=True)),
])
def test_numbers_of_a_call_are_taken_as_they_are(options, expected):
    assert from_call(Settings(), options) == expected


@pytest.mark.parametrize('name, value, allowed', BAD)
def test_a_value_that_cannot_be_says_option_value_and_what_is_allowed(name, value, allowed):
    with pytest.raises(BadOption) as why:
        from_config({name: value}, complain)
    assert str(why.value) == '%s = %r: %s' % (name, value, allowed)


@pytest.mark.parametrize('name, value, allowed', BAD + BAD_IN_A_CALL)
def test_a_value_of_a_call_that_cannot_be_says_the_same(name, value, allowed):
    with pytest.raises(BadOption) as why:
        from_call(Settings(), {name: value})
    assert str(why.value).startswith('%s = ' % name)
    assert str(why.value).endswith(allowed)
    assert len(str(why.value)) < 250


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(['delay', 'timeout', 'stagger_factor', 'max_unavailable']),
                       st.one_of(st.text(), st.text('0123456789-+.eE_%', max_size=6))))
def test_any_text_in_the_configuration_is_a_value_that_can_be_or_one_sentence(options):
    try:
        made = from_config(options, lambda sentence: None).default
    except BadOption as why:
        assert re.fullmatch('[ -~]+ = .{1,100}: must be [ -~]+', str(why))
    else:
        assert all(0 < seconds < math.inf for seconds in (made.delay, made.timeout or 1))
        assert made.stagger_factor >= 1
        assert 0 <= made.max_unavailable.of(10) <= 10 or not made.max_unavailable.percentage


def test_an_unknown_option_of_the_configuration_is_a_warning_that_names_it():
    said = []
    assert from_config({'dealy': '1', 'timeout': '9'}, said.append).default == Settings(timeout=9.0)
    assert said == ['restarter: unknown option dealy; the options are delay, max_surge, '
                    'max_unavailable, min_ready_seconds, only_running, page, stagger_factor, '
                    'timeout']


@pytest.mark.parametrize('options, sentence', [
    ({'dealy': 1}, 'unknown option dealy; the options are delay, max_surge, max_unavailable, '
                   'min_ready_seconds, only_running, processes, reread, resume, stagger_factor, '
                   'timeout, wait'),
    ({'x' * 5000: 1}, 'unknown option ' + 'x' * 97 + '...; the options are '),
    ({'stagger_factor': 2, 'max_unavailable': 1}, 'stagger_factor and max_unavailable exclude each '
     'other: a restart is either staggered or rolling'),
    ({'stagger_factor': 2, 'max_surge': '25%'}, 'stagger_factor and max_surge exclude each other: '
     'a restart is either staggered or rolling'),
    ([1], 'options must be a struct, not array'),
    ({'resume': True, 'processes': ['a']}, 'resume and processes exclude each other'),
    ('timeout', 'options must be a struct, not string'),
    (None, 'options must be a struct, not nil'),
])
def test_wrong_options_of_a_call_are_named(options, sentence):
    with pytest.raises(BadOption) as why:
        from_call(Settings(), options)
    assert str(why.value).startswith(sentence)


@pytest.mark.parametrize('value', [[], ['a', 1], 'a', {}, None, True])
def test_processes_are_an_array_of_names(value):
    assert from_call(Settings(), {'processes': ['a', 'b']}).processes == ('a', 'b')
    with pytest.raises(BadOption) as why:
        from_call(Settings(), {'processes': value})
    assert str(why.value).endswith('must be an array of the names of processes in the group')


def test_the_empty_array_of_php_is_no_options():
    assert from_call(Settings(), []) == Call(Settings())


def test_a_call_that_gives_batches_is_staggered_where_the_configuration_is_rolling():
    configured = Settings(max_unavailable=Limit(1), max_surge=Limit(1))
    assert from_call(configured, {'stagger_factor': 2}).settings == Settings(stagger_factor=2)


def test_both_pacings_in_the_configuration_are_rolling_with_a_warning():
    said = []
    settings = from_config({'stagger_factor': '3', 'max_unavailable': '2'}, said.append).default
    assert settings.max_unavailable
    assert said == ['restarter: stagger_factor = 3 has no effect, since max_unavailable = 2 makes '
                    'restarts rolling']


def test_a_call_can_turn_a_rolling_configuration_into_a_staggered_restart():
    settings = from_call(Settings(max_unavailable=Limit(2)),
                         {'stagger_factor': 3, 'max_unavailable': 0}).settings
    assert (settings.stagger_factor, bool(settings.max_unavailable)) == (3, False)


def test_an_option_with_a_group_is_for_that_group_alone_whatever_its_case():
    made = from_config({'timeout': '9', 'web.timeout': '60', 'web.max_surge': '1',
                        'a.b.delay': '0.5'}, complain)
    assert made.of('Web') == Settings(timeout=60.0, max_surge=Limit(1))
    assert made.of('a.b') == Settings(timeout=9.0, delay=0.5)
    assert made.of('db') == Settings(timeout=9.0)


@pytest.mark.parametrize('options, sentence', [
    ({'web.timeout': '0'}, "web.timeout = '0': " + SECONDS),
    ({'web.stagger_factor': 'x'}, "web.stagger_factor = 'x': " + BATCHES),
])
def test_a_wrong_option_of_a_group_is_named_with_it(options, sentence):
    with pytest.raises(BadOption) as why:
        from_config(options, complain)
    assert str(why.value) == sentence


@pytest.mark.parametrize('value, page', [
    (None, False), ('true', True), ('True', True), ('on', True), ('1', True), ('false', False),
    ('no', False)])
def test_there_is_a_page_where_the_configuration_says_so(value, page):
    assert from_config({} if value is None else {'page': value}, complain).page is page


@pytest.mark.parametrize('value', ['maybe', '', '2', 'true false'])
def test_a_page_is_there_or_not(value):
    with pytest.raises(BadOption) as why:
        from_config({'page': value}, complain)
    assert str(why.value) == 'page = %r: must be true or false' % value


def test_a_page_is_for_all_groups_and_no_option_of_a_call():
    said = []
    assert not from_config({'web.page': 'true'}, said.append).page
    assert said[0].startswith('restarter: unknown option web.page; the options are ')
    with pytest.raises(BadOption) as why:
        from_call(Settings(), {'page': True})
    assert str(why.value).startswith('unknown option page; the options are delay, ')


def test_an_unknown_option_of_a_group_is_a_warning_that_names_it():
    said = []
    from_config({'web.dealy': '1'}, said.append)
    assert said[0].startswith('restarter: unknown option web.dealy; the options are ')
