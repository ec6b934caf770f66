"""Entry point of the command `xmdpt`: parse, do, and turn what fails into one line and an exit status."""

import sys

from xmdpt_client.command.actions import InterruptedJobError, run
from xmdpt_client.command.arguments import STANDARD_OUTPUT, check_batch, parser
from xmdpt_client.command.batches import InterruptedBatchError, MissingPicturesError
from xmdpt_client.command.endings import FAILED, INTERRUPTED, UNUSABLE, ending_of, one_line
from xmdpt_client.errors import XmdptError


def main() -> None:
    """Run the command; exits with a status that `xmdpt --help` explains."""
    command_line = parser()
    options = command_line.parse_args()
    if options.json and getattr(options, "out", None) == STANDARD_OUTPUT:
        command_line.error("--json and -o - both write to standard output; give a file as -o")
    if options.command == "batch":
        check_batch(command_line, options)
    try:
        run(options)
        return
    except XmdptError as error:
        status, line = ending_of(error)
    except (InterruptedJobError, InterruptedBatchError) as error:
        status, line = INTERRUPTED, str(error)
    except MissingPicturesError as error:
        status, line = FAILED, str(error)
    except KeyboardInterrupt:
        status, line = INTERRUPTED, "interrupted"
    except OSError as error:
        status, line = UNUSABLE, f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except ValueError as error:
        status, line = UNUSABLE, str(error)
    print(f"xmdpt: {one_line(line)}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
