# evenkeel: `env` in interactive shells knows our verbs; the rest, and every script, gets the system's env.
function env
	if test (count $argv) -gt 0; and contains -- $argv[1] --help @WORDS@
		command @EVENKEEL@ __env $argv
	else
		command env $argv
	end
end
