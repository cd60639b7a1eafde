"""Every code that the language gives: ``E02xx`` for mistakes, ``Wxx`` for advice; one code a kind."""

from __future__ import annotations

from enum import Enum


class _Code(Enum):
    """A code with what it stands for."""

    def __init__(self, code: str, meaning: str) -> None:
        self.code = code
        self.meaning = meaning


class Mistake(_Code):
    """What makes a Kubefile invalid."""

    UNKNOWN_INSTRUCTION = "E0201", "a line starts with no instruction that the language knows"
    NO_VALUE = "E0202", "FROM, ARG, RUN or CMD stands alone"
    FEW_NAMES = "E0203", "COPY lacks a source or the destination"
    NO_FROM = "E0204", "the file has no FROM, or nothing at all"
    SECOND_FROM = "E0205", "the file has more than one FROM"
    BEFORE_FROM = "E0206", "COPY, RUN or CMD stands above FROM"
    NAMED_STAGE = "E0207", "FROM ... AS names a stage"
    MANY_BASES = "E0208", "FROM is followed by more than one name"
    BAD_BASE = "E0209", "what FROM names is not an image reference"
    UNKNOWN_FLAG = "E0210", "a flag that the instruction does not have"
    FLAG_VALUE = "E0211", "a flag lacks its value, or has one that it does not take"
    FLAG_TWICE = "E0212", "a flag is given twice"
    FLAG_LATE = "E0213", "a flag stands behind a name"
    BAD_MODE = "E0214", "--chmod is not an octal mode up to 7777"
    EXACT_MANY = "E0215", "--exact with more than one source"
    BROKEN_ARRAY = "E0216", "an array is not a JSON array of texts"
    EMPTY_ARRAY = "E0217", "an array holds nothing"
    OPEN_QUOTE = "E0218", "a quote is not closed"
    AFTER_QUOTE = "E0219", "something follows a closing quote without a blank"
    REMOTE_SOURCE = "E0220", "COPY from a URL or a git repository"
    SOURCE_ESCAPES = "E0221", "a source leaves the build context by .."
    DESTINATION_ESCAPES = "E0222", "a destination leaves the image root by .."
    RESERVED_NAME = "E0223", "a destination holds a name that starts with .wh."
    EMPTY_TEXT = "E0224", "a name or a command is empty"
    ESCAPED_BLANK = "E0225", "a backslash before a blank in COPY"
    BACKSLASH_BEFORE_COMMENT = "E0226", "a comment follows the backslash that was to continue a line"
    BACKSLASH_IN_COMMENT = "E0227", "a comment behind an instruction ends in a backslash"
    UNFIT_TEXT = "E0228", "an array's text holds what no name or command can"
    HERE_DOCUMENT = "E0229", "a here-document, which the dialect does not have"
    BAD_KEY = "E0230", "what ARG declares is not a key"
    UNQUOTED_BLANK = "E0231", "an ARG value with a blank is not quoted"
    KEY_NOT_ALONE = "E0232", "a key without a default shares its ARG"
    KEY_TWICE = "E0233", "one ARG declares a key twice"
    BLANK_BEFORE_EQUALS = "E0234", "a blank between an ARG's key and ="
    NOT_UTF8 = "E0240", "bytes that are not UTF-8"
    NUL = "E0241", "a NUL character"
    UNSET_ARGUMENT = "E0250", "FROM, COPY or ARG uses an ARG that has no value"
    LONG_EXPANSION = "E0251", "expanding ARGs gives more text than any machine could use"
    UNKNOWN_DIALECT = "E0260", "the directive # syntax= names no dialect"
    NOT_TAKEN = "E0261", "what the dialect's own tool takes, and kubeimage does not"
    BAD_WORD = "E0262", "a quote or a brace is not closed, or an expansion has a form that is not known"
    BAD_PAIR = "E0263", "ENV, LABEL or ARG holds something other than KEY=VALUE"
    BAD_VALUE = "E0264", "a value is not one that the instruction takes"
    OPEN_DOCUMENT = "E0265", "a here-document does not end"
    NOT_LAST = "E0266", "LAUNCH or CMDS is not the last instruction, or CMD stands beside LAUNCH"
    UNKNOWN_APPLICATION = "E0267", "an application that nothing above registers, or that nothing can launch"
    BAD_STAGE = "E0268", "a stage that is not there, stands below, or has a name that another one has"


class Advice(_Code):
    """What is valid, and yet probably not what its author wants."""

    USED_ABOVE_ARG = "W01", "$KEY is used above its ARG"
    ARGV_ARRAY = "W02", "a CMD array looks like the words of one command"
    SECRET_ARGUMENT = "W03", "an ARG is named like a secret; its value stands in the image"
    REPEATED_COMMAND = "W04", "the same command twice in a row"
    AUTH_LIST = "W05", "imageListWithAuth.yaml never enters a layer"
    FLOATING_BASE = "W06", "FROM names no tag, or latest"
    UNUSED_ARGUMENT = "W07", "an ARG that nothing can use"
    UNDECLARED = "W08", "$KEY in FROM, COPY or ARG that no ARG declares"
    UNSUPPORTED_EXPANSION = "W09", "only $KEY and ${KEY} are expanded"
    SHADOWED_ARCH = "W10", "an ARG named ARCH does not reach COPY"
    RUN_IS_SHELL_TEXT = "W11", "RUN has neither flags nor an array form"
    SWALLOWED_INSTRUCTION = "W12", "a continued line starts like an instruction"
    IMAGES_LEFT_BEHIND = "W13", "YAML that names container images lands outside manifests/ and charts/"
    FILE_LIKE_FOLDER = "W14", "DEST is named like the file, and becomes a folder"
    TRAILING_SLASH = "W15", "a / at a source's end changes nothing"
    MISSING_FILE = "W16", "CMD names a file that nothing brings"
    HERE_DOCUMENT = "W17", "a here-document without a body"
    OPEN_COMMAND = "W18", "a command ends in &&, || or |"
    COPIED_SECRET = "W19", "COPY brings a file that looks like a key or a credential"
    BROKEN_YAML = "W20", "a manifest is not YAML"
    UNREADABLE_IMAGE = "W21", "the name of a container image cannot be read"
    BAD_IGNORE = "W22", "a comment ignores a code that there is not"
    ANOTHER_TREE = "W23", "COPYs make another tree by the rules of another dialect"
    BROKEN_ARRAY = "W24", "a CMD or an ENTRYPOINT that is meant as an array is none"
    QUOTE_IN_VALUE = "W25", "an ENV value holds a double quote, which sealos does not escape"


CODES = {member.code: member.meaning for kind in (Mistake, Advice) for member in kind}
