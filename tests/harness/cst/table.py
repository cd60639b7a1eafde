# ruff: noqa: E501 - a table reads best with a line a row
"""Files of tests for container-structure-test, and images that they are about.

What the program says of them is asked where it is installed. A command test whose name ends in "(fails)" is to fail.
"""

from __future__ import annotations

from tests.imageroots import Layer, Put, RootImage

FOLDER = Put(folder=True, mode=0o755)

PLAIN: Layer = {
    "etc/": FOLDER,
    "etc/passwd": Put(b"root:x:0:0:root:/root:/bin/sh\n"),
    "etc/os-release": Put(b'NAME="Plain"\nVERSION_ID="12"\n'),
    "usr/": FOLDER,
    "usr/bin/": FOLDER,
    "usr/bin/tool": Put(b"#!/bin/sh\necho tool\n", 0o755),
    "multi": Put(b"one\ntwo\nthree\n"),
    "empty": Put(b""),
    "bytes": Put(b"\xff\xfe abc \xc3\xa9 \xe2\x82\xac\n"),
    "tmp/": Put(folder=True, mode=0o1777),
}
DOCS: Layer = {
    "usr/share/": FOLDER,
    "usr/share/doc/": FOLDER,
    "usr/share/doc/good/": FOLDER,
    "usr/share/doc/good/copyright": Put(b"MIT License\n"),
    "usr/share/doc/libgnutls30/": FOLDER,
    "usr/share/doc/libgnutls30/copyright": Put(b"AGPL\n"),
    "usr/share/doc/readme": Put(b"no folder\n"),
}
RICH = {
    "Env": ["PATH=/usr/bin:/bin", "A=1", "EMPTY=", "EQUALS=a=b=c", "VERSION=1.2.3"],
    "Labels": {"org.label": "value", "build-date": "2020-01-02T03:04:05.123456", "empty": ""},
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8080": {}},
    "Volumes": {"/data": {}, "/var/lib": {}},
    "WorkingDir": "/app",
    "User": "luke",
    "Entrypoint": ["/usr/bin/tool", "run"],
    "Cmd": ["-c", "true"],
}
IMAGES = {
    "plain": RootImage([PLAIN]),
    "rich": RootImage([PLAIN], RICH),
    "merged": RootImage(
        [{**PLAIN, "bin": Put(link="usr/bin"), "lib": Put(link="./usr/lib"), "loose": Put(link="nowhere")}],
        {"Env": ["A=2"], "Cmd": ["/bin/tool"]},
    ),
    "layered": RootImage(
        [
            {**PLAIN, "gone": Put(b"x"), "folder/": FOLDER, "folder/a": Put(b"a"), "folder/b": Put(b"b")},
            {".wh.gone": Put(), "folder/.wh.a": Put(), "multi": Put(b"above\n", 0o600)},
            {"etc/.wh.passwd": Put(), "etc/new": Put(b"two\n")},
        ],
        RICH,
    ),
    "documented": RootImage(
        [
            {**PLAIN, **DOCS},
            {"usr/share/doc/bad/": FOLDER, "usr/share/doc/bad/copyright": Put(b"the gnu Agpl, version 3\n")},
        ],
    ),
    "modes": RootImage(
        [
            {
                **PLAIN,
                "suid": Put(b"x", 0o4755),
                "sgid": Put(b"x", 0o2711),
                "sticky": Put(b"x", 0o1644),
                "all": Put(b"x", 0o7777),
                "none": Put(b"x", 0o400),
                "shared/": Put(folder=True, mode=0o2775),
                "name with blank": Put(b"x"),
                "ünïcödé": Put(b"x"),
                "first": Put(b"linked\n", 0o640),
                "second": Put(hard="first", mode=0o640),
                "pointer": Put(link="multi"),
                "up/": FOLDER,
                "up/pointer": Put(link="../multi"),
            }
        ],
        {"Env": ["A=3", "PATH=/bin"], "Labels": {"org.label": "other"}, "User": "0:0"},
    ),
}


def _file(**sections: str) -> str:
    return "schemaVersion: 2.0.0\n" + "".join(f"{name}:\n{text}\n" for name, text in sections.items())


def _existence(*tests: str) -> str:
    lines = [f"- {{name: 't{number}', {text}}}" for number, text in enumerate(tests)]
    return _file(fileExistenceTests="\n".join(lines))


def _content(path: str, *patterns: str) -> str:
    quoted = ["'" + pattern.replace("'", "''") + "'" for pattern in patterns]
    lines = [f"- {{name: 'e{at}', path: {path}, expectedContents: [{one}]}}" for at, one in enumerate(quoted)]
    lines += [f"- {{name: 'x{at}', path: {path}, excludedContents: [{one}]}}" for at, one in enumerate(quoted)]
    return _file(fileContentTests="\n".join(lines))


def _metadata(*lines: str) -> str:
    return _file(metadataTest="\n".join(f"  {line}" for line in lines))


SPECS = {
    "there.yaml": _existence(
        "path: /etc/passwd", "path: /gone", "path: /etc/new", "path: /folder/a, shouldExist: true"
    ),
    "absent.yaml": _existence("path: /gone, shouldExist: false", "path: /etc/passwd, shouldExist: false"),
    "written.yml": _existence("path: etc/passwd", "path: //etc//passwd", "path: /etc/../etc/./passwd", "path: /etc/"),
    "linked.yaml": _existence("path: /bin/tool", "path: /bin", "path: /loose", "path: /lib", "path: /loose/x"),
    "below.yaml": _existence("path: /etc/passwd/x", "path: /multi/", "path: /multi/x, shouldExist: false"),
    "modes.yaml": _existence(
        "path: /suid, permissions: urwxr-xr-x",
        "path: /sgid, permissions: grwx--x--x",
        "path: /sticky, permissions: trw-r--r--",
    ),
    "modes2.yaml": _existence(
        "path: /all, permissions: ugtrwxrwxrwx",
        "path: /shared, permissions: dgrwxrwxr-x",
        "path: /tmp, permissions: dtrwxrwxrwx",
    ),
    "modes3.yaml": _existence(
        "path: /pointer, permissions: Lrwxrwxrwx",
        "path: /none, permissions: '-r--------'",
        "path: /multi, permissions: '-rw-r--r--'",
    ),
    "modes4.yaml": _existence("path: /suid, permissions: '-rwsr-xr-x'", "path: /etc, permissions: drwxr-xr-x"),
    "linkmodes.yaml": _existence("path: /first, permissions: '-rw-r-----'", "path: /second, permissions: '-rw-r-----'"),
    "executable.yaml": _existence(
        *(f"path: /sgid, isExecutableBy: {who}" for who in ("owner", "group", "other", "any"))
    ),
    "executable2.yaml": _existence(*(f"path: /usr/bin/tool, isExecutableBy: {who}" for who in ("any", "nobody", "''"))),
    "executable3.yaml": _existence(*(f"path: /none, isExecutableBy: {who}" for who in ("any", "owner"))),
    "variables.yaml": _existence(
        "path: '/$A'", "path: '${A}'", "path: '/etc/${EMPTY}passwd'", "path: '/$/x'", "path: '$$'"
    ),
    "names.yaml": _existence("path: '/name with blank'", "path: /ünïcödé", "path: '/NAME WITH BLANK'"),
    "lines.yaml": _content(
        "/multi", "^two$", "(?m)^two$", "three$", "three\\n$", "\\Aone", "(?m)one$", "one.two", "(?s)one.two"
    ),
    "anchors.yaml": _content(
        "/multi", "three\\z", "three\\n\\z", "\\Zx", "$^", "(?m:^three)", "^", "\\bone\\b", "\\Bne\\b"
    ),
    "classes.yaml": _content(
        "/etc/os-release", "[[:alpha:]]+=", "\\d\\d", "[^\\W]", "[[:^digit:]]", "[[:foo:]]", "\\D", "[\\d\\s]+"
    ),
    "letters.yaml": _content(
        "/bytes", "\\xff", "\\x{e9}", "€", "\\pL", "\\p{Lu}", "[^[:ascii:]]", "\ufffd", "\\p{Greek", "é €"
    ),
    "repeats.yaml": _content(
        "/multi", "e{2}", "e{1,3}", "e{,3}", "e**", "e*?", "e{1001}", "*e", "(e{500}){3}", "e+?", "x??"
    ),
    "groups.yaml": _content(
        "/multi", "(?P<a>o)", "(?P<a>o)(?P<a>n)", "(?:on)e", "(on", "on)", "(?=o)", "(?<!x)o", "\\1", "()"
    ),
    "flags.yaml": _content(
        "/multi", "(?i)ONE", "(?i:O)ne", "o(?i)NE", "(?U)o.*e", "(?x)o n e", "(?-i)ONE", "(?i)(?-i)ONE", "(?z)"
    ),
    "escapes.yaml": _content(
        "/etc/os-release", '\\QNAME="\\E', '\\"', "\\_", "\\y", "\\x4e", "\\116", "\\n", "\\C", "[\\]]", "[]a]"
    ),
    "branches.yaml": _content(
        "/multi", "a|b|one", "|", "(a|)", "(one|two)\\n", "one\ntwo", "[a-z-]+", "[z-a]", "[", "a]"
    ),
    "empty.yaml": _content("/empty", "", "^$", ".", "\\z"),
    "unread.yaml": _content("/etc", "x")
    + _content("/none/x", "x").partition("\n")[2].replace("fileContentTests:\n", ""),
    "pointers.yaml": _content("/pointer", "two") + "- {name: r, path: /up/pointer, expectedContents: [one]}\n",
    "literal.yaml": _content("'/${A}'", "x"),
    "env.yaml": _metadata("envVars:", "- {key: A, value: 1}", "- {key: EMPTY, value: ''}"),
    "env2.yaml": _metadata("envVars: [{key: EQUALS, value: 'a=b=c'}, {key: VERSION, value: '^1\\.', isRegex: true}]"),
    "env3.yaml": _metadata("envVars: [{key: VERSION, value: '(?=1)', isRegex: true}]"),
    "unbound.yaml": _metadata("unboundEnvVars: [{key: A}, {key: NONE}]"),
    "labels.yaml": _metadata("labels:", "- {key: org.label, value: value}"),
    "labels2.yaml": _metadata(
        "labels: [{key: build-date, value: '^\\d{4}-\\d{2}-\\d{2}T', isRegex: yes}, {key: empty, value: ''}]"
    ),
    "ports.yaml": _metadata('exposedPorts: ["80", 53]', "unexposedPorts: ['22']"),
    "ports2.yaml": _metadata('exposedPorts: ["80/tcp"]'),
    "ports3.yaml": _metadata('unexposedPorts: ["80"]'),
    "volumes.yaml": _metadata("volumes: [/data]", "unmountedVolumes: [/x]"),
    "volumes2.yaml": _metadata("unmountedVolumes: [/var/lib]"),
    "entrypoint.yaml": _metadata("entrypoint: [/usr/bin/tool, run]", "cmd: [-c, 'true']"),
    "entrypoint2.yaml": _metadata("entrypoint: []"),
    "cmd.yaml": _metadata("cmd: [/bin/tool]"),
    "folders.yaml": _metadata("workdir: /app", "user: luke"),
    "folders2.yaml": _metadata("user: '0:0'"),
    "several.yaml": _metadata("workdir: /", "user: root", "cmd: [x]", "exposedPorts: [1]"),
    "keyless.yaml": _metadata("envVars: [{value: x}]", "labels: [{key: ''}]"),
    "portless.yaml": _metadata("exposedPorts: ['']"),
    "licences.yaml": _file(licenseTests="- {debian: true}\n- {debian: false, files: [/usr/share/doc/good/copyright]}"),
    "licences2.yaml": _file(
        licenseTests="- {debian: no, files: [/usr/share/doc/bad/copyright, /etc/passwd]}\n- {files: [/gone]}"
    ),
    "nameless.yaml": _file(
        fileExistenceTests="- {path: /etc}\n- {name: pathless}", fileContentTests="- {path: /multi}"
    ),
    "commandless.yaml": _file(commandTests="- {name: none}\n- {command: x}\n- {name: s, command: x, setup: [[]]}"),
    "variableless.yaml": _file(commandTests="- {name: v, command: x, envVars: [{key: A, value: ''}]}"),
    "old.yaml": "schemaVersion: 1.0.0\nfileExistenceTests:\n- {name: a, path: '/$A'}\n- {name: b, path: ''}\n"
    "fileContentTests:\n- {name: c, path: /multi, expectedContents: [two]}\nlicenseTests:\n- {debian: true}\n",
    "quoted.yaml": 'schemaVersion: "2.0.0"\nfileExistenceTests:\n- name: 12\n  path: /multi\n  shouldExist: on\n',
    "form.json": '{"schemaVersion": "2.0.0", "fileContentTests": [{"name": "a", "path": "/multi", "expectedContents": ["two"]}],'
    ' "metadataTest": {"envVars": [{"key": "A", "value": "1"}], "extra": 1}}',
    "case.json": '{"SCHEMAVERSION": "2.0.0", "filecontenttests": [{"NAME": "a", "Path": "/multi", "excludedContents": ["x"]}]}',
    "absent.json": '{"schemaVersion": "2.0.0", "fileExistenceTests": [{"name": "a", "path": "/gone"}]}',
    "anchored.yaml": "schemaVersion: 2.0.0\nfileContentTests:\n- &one\n  name: a\n  path: /multi\n  expectedContents: [two]\n- *one\n",
    "both.yaml": _file(
        fileExistenceTests="- {name: a, path: /multi}",
        fileContentTests="- {name: a, path: /multi}",
        licenseTests="- {debian: false}",
        metadataTest="  cmd: []",
    ),
}

BAD_FILES = {
    "bad-unknown.yaml": "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, path: /x, bogus: 1}\n",
    "bad-twice.yaml": "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, path: /x, path: /y}\n",
    "bad-type.yaml": "schemaVersion: 2.0.0\ncommandTests:\n- {name: a, command: x, exitCode: '0'}\n",
    "bad-list.yaml": "schemaVersion: 2.0.0\nfileContentTests:\n- {name: a, path: /x, expectedContents: x}\n",
    "bad-truth.yaml": "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, path: /x, shouldExist: 1}\n",
    "bad-versionless.yaml": "fileExistenceTests: []\n",
    "bad-version.yaml": "schemaVersion: 3.0.0\n",
    "bad-broken.yaml": "schemaVersion: 2.0.0\nfileExistenceTests: [a\n",
    "bad-broken.json": '{"schemaVersion": "2.0.0",\n "fileExistenceTests": [}',
    "bad-number.json": '{"schemaVersion": "2.0.0", "fileExistenceTests": [{"name": 1}]}',
    "bad-first.yaml": "schemaVersion: 1.0.0\nmetadataTest: {cmd: []}\n",
    "bad-env.yaml": "schemaVersion: 2.0.0\nmetadataTest: {env: []}\n",
}

COMMANDS = """schemaVersion: 2.0.0
globalEnvVars:
- {key: G, value: "g-$A"}
- {key: PATH, value: "$PATH:/usr/bin"}
commandTests:
- {name: variables, command: env, expectedOutput: ['(?m)^G=g-1$', '(?m)^A=1$', '(?m)^HOME=/root$', '(?m)^PATH=/bin:/usr/bin$']}
- name: words are filled in
  command: sh
  args: [-c, "echo $A-$G-$T-$$-"]
  envVars: [{key: T, value: "t-$G"}]
  expectedOutput: ['^1-g-1---\\n$']
- {name: values are not, command: env, envVars: [{key: T, value: "t-$G"}], expectedOutput: ['(?m)^T=t-\\$G$']}
- name: setup
  command: cat
  args: [/tmp/t]
  setup: [[sh, -c, 'echo "$T" > /tmp/t'], [sh, -c, 'cat /tmp/t /tmp/t > /tmp/u; cat /tmp/u > /tmp/t']]
  envVars: [{key: T, value: "t-$G"}]
  expectedOutput: ['^t-g-1\\nt-g-1\\n$']
- {name: each test has its own image, command: cat, args: [/tmp/t], exitCode: 1, expectedError: ['No such file']}
- {name: not found (fails), command: nope, exitCode: 127}
- {name: setup not found (fails), command: "true", setup: [["nope"]]}
- {name: a setup may fail, command: "true", setup: [[sh, -c, "exit 3"]]}
- {name: teardown is passed over, command: "true", teardown: [["nope"]]}
- {name: exit code, command: sh, args: [-c, 'exit 3'], exitCode: 3}
- {name: exit code (fails), command: sh, args: [-c, 'exit 3']}
- {name: error output, command: sh, args: [-c, 'echo a >&2'], expectedError: ['^a\\n$'], excludedError: [b], excludedOutput: [a]}
- {name: error output (fails), command: sh, args: [-c, 'echo a >&2'], expectedOutput: [a]}
- {name: bad pattern (fails), command: "true", excludedOutput: ['(?=x)']}
- {name: root, command: id, args: [-u], expectedOutput: ['^0\\n$']}
- {name: a file is not a program (fails), command: /etc/passwd, exitCode: 126}
- {name: unset, command: sh, args: [-c, 'echo "[$NONE]"'], expectedOutput: ['^\\[\\]\\n$']}
"""

USERS = """schemaVersion: 2.0.0
commandTests:
- {name: the user of the config, command: id, args: [-un], expectedOutput: ['^app\\n$']}
- {name: its groups, command: id, args: [-Gn], expectedOutput: ['^app more\\n$']}
- {name: its home and folder, command: sh, args: [-c, 'cd; pwd; cd -'], expectedOutput: ['^/home/app\\n/home/app\\n$']}
- {name: it cannot read others' files, command: cat, args: [/root/secret], exitCode: 1, expectedError: [denied]}
- {name: it can read its own, command: cat, args: [/home/app/own], expectedOutput: [mine]}
- {name: it cannot write (fails), command: touch, args: [/etc/new]}
"""

OPTIONS = """schemaVersion: 2.0.0
containerRunOptions: {user: "1000:1001", envVars: [GIVEN]}
commandTests:
- {name: user, command: id, args: [-ug], expectedError: [cannot], exitCode: 1}
- {name: group, command: id, args: [-g], expectedOutput: ['^1001\\n$']}
- {name: variables, command: env, envVars: [{key: T, value: t}], expectedOutput: ['(?m)^GIVEN=here$'], excludedOutput: [T=t]}
- {name: setup, command: cat, args: [/tmp/id], setup: [[sh, -c, 'id -u > /tmp/id; env >> /tmp/id']], excludedOutput: [GIVEN]}
"""
