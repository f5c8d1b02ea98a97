"""The console command and the tools are the same programs."""

import re

import pytest

from mmoverlock.cli.main import COMMANDS, main

from ..user import TOOLS

SHIM = re.compile(
    r'"""(?P<what>.+): python (?P<path>tools/\w+\.py)( .+)?\."""\n\nimport signal\nimport sys\n.+ # noqa: E402\n\n'
    r"if __name__ == '__main__':\n    main\(\)\n",
    re.DOTALL,
)
IMPORT = re.compile(r'^from mmoverlock\.cli\.(\w+) import main  # noqa: E402$', re.MULTILINE)


def shims() -> dict[str, str]:
    """The command of each tool: 'prepare_data': 'prepare' and so on."""
    return {path.stem: IMPORT.search(path.read_text())[1] for path in TOOLS.glob('*.py')}


def test_every_command_has_a_tool():
    assert sorted(shims().values()) == sorted(COMMANDS)


def test_tools_differ_in_their_command_alone():
    bodies = set()
    for path in TOOLS.glob('*.py'):
        text = path.read_text()
        assert SHIM.fullmatch(text)['path'] == f'tools/{path.name}'
        bodies.add(IMPORT.sub('', text.partition('"""\n')[2]))
    assert len(bodies) == 1


def printed_help(capsys, run, arguments: list[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        run(arguments)
    assert stop.value.code == 0
    return ' '.join(capsys.readouterr().out.split())


def test_help_lists_the_commands(capsys):
    text = printed_help(capsys, main, ['--help'])
    assert all(f' {name} {what}' in text for name, what in COMMANDS.items())


@pytest.mark.parametrize('name', [path.stem for path in TOOLS.glob('*.py')])
def test_help_is_that_of_the_tool(name, tool, capsys, monkeypatch):
    command = shims()[name]
    monkeypatch.setattr('sys.argv', [f'tools/{name}.py'])
    text = printed_help(capsys, tool(name), ['--help'])
    assert f'usage: {name}.py [-h] ' in text
    ours = printed_help(capsys, main, [command, '--help'])
    assert ours == text.replace(f'usage: {name}.py', f'usage: mmoverlock {command}')


@pytest.mark.parametrize('command', COMMANDS)
def test_a_mistake_ends_in_one_line(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, '--no-such-option'])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert line.startswith('error: ') and line.endswith(f'(see mmoverlock {command} --help)')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [(['fly'], "invalid choice: 'fly'"), ([], 'the following arguments are required: COMMAND')],
)
def test_no_such_command(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and message in line
