# evenkeel: completion for fish.
function __evenkeel_complete
	set -l words (commandline -opc) (commandline -ct)
	@EVENKEEL@ __complete $words[2..-1] 2>/dev/null
end
complete -c evenkeel -e
complete -c evenkeel -a '(__evenkeel_complete)'
