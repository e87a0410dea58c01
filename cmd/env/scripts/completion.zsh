#compdef evenkeel
# evenkeel: completion for zsh.
_evenkeel() {
	local -a candidates
	candidates=("${(@f)$(@EVENKEEL@ __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	candidates=(${candidates:#})
	if (( ${#candidates} )); then
		compadd -a candidates
	else
		_files
	fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _evenkeel evenkeel
