# evenkeel: `env` in interactive shells knows our verbs; the rest, and every script, gets the system's env.
env() {
	case "${1-}" in
	--help|@WORDS@) command @EVENKEEL@ __env "$@" ;;
	*) command env "$@" ;;
	esac
}
