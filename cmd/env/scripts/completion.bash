# evenkeel: completion for bash.
_evenkeel() {
	local IFS=$'\n'
	COMPREPLY=($(@EVENKEEL@ __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
	# Besides our verbs, env takes any program.
	if [[ ${COMP_WORDS[0]##*/} == env && $COMP_CWORD == 1 ]]; then
		COMPREPLY+=($(compgen -c -- "${COMP_WORDS[1]}"))
	fi
}
complete -o default -F _evenkeel evenkeel env
