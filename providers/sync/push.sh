# Works in the machine's folder; $S is what was staged in it. Says what it left as it was. Paths come in groups, since a process costs some 50 ms in emulation.
set -u
say() { printf '%s %s\0' "$1" "${2#./}"; }
# folder DIR: it exists, and is no symbolic link; made where it is absent
folder() {
	if [ -L "$1" ]; then return 1; fi
	if [ -d "$1" ]; then return 0; fi
	case $1 in */*) folder "${1%/*}" || return 1 ;; esac
	mkdir -- "$1" 2>/dev/null
}
# other PATH: the file there is not the one that the scan saw
other() {
	t=$S/t/${1#./}
	[ -e "$t" ] && { [ "$1" -nt "$t" ] || [ "$1" -ot "$t" ]; }
}
# put DIR NAME...: renames into place; what is still staged afterwards was not
put() {
	d=$1
	shift
	p=$d/
	if [ "$d" = . ]; then p=; fi
	if ! folder "$d"; then
		for f; do say blocked "$p$f"; done
		return 0
	fi
	n=$#
	while [ "$n" -gt 0 ]; do
		f=$1
		shift
		n=$((n - 1))
		set -- "$@" "$S/f/$p$f"
	done
	if mv -f -t "$d" -- "$@" 2>/dev/null; then return 0; fi
	for f; do if [ -e "$f" ] || [ -L "$f" ]; then say blocked "${f#"$S/f/"}"; fi; done
}
# fresh DIR NAME...: nothing is there yet
fresh() {
	d=$1
	shift
	n=$#
	while [ "$n" -gt 0 ]; do
		f=$1
		shift
		n=$((n - 1))
		if [ -d "$d/$f" ] && [ ! -L "$d/$f" ]; then say blocked "$d/$f"
		elif [ -e "$d/$f" ] || [ -L "$d/$f" ]; then say changed "$d/$f"
		else set -- "$@" "$f"; fi
	done
	[ $# -eq 0 ] || put "$d" "$@"
}
# over DIR NAME...: the scan saw what is there
over() {
	d=$1
	shift
	n=$#
	while [ "$n" -gt 0 ]; do
		f=$1
		shift
		n=$((n - 1))
		if { [ ! -e "$d/$f" ] && [ ! -L "$d/$f" ]; } || other "$d/$f"; then say changed "$d/$f"; else set -- "$@" "$f"; fi
	done
	[ $# -eq 0 ] || put "$d" "$@"
}
# whole DIR: a folder with all that is in it, where none was
whole() {
	case $1 in */*) folder "${1%/*}" || { say blocked "$1/"; return 0; } ;; esac
	if [ -e "$1" ] || [ -L "$1" ]; then say changed "$1/"
	elif ! mv -T -- "$S/f/$1" "$1" 2>/dev/null; then say blocked "$1/"; fi
}
# drop DIR NAME...
drop() {
	d=$1
	shift
	n=$#
	while [ "$n" -gt 0 ]; do
		f=$1
		shift
		n=$((n - 1))
		if other "$d/$f"; then say changed "$d/$f"; else set -- "$@" "$d/$f"; fi
	done
	[ $# -eq 0 ] || rm -f -- "$@" 2>/dev/null || for f; do if [ -e "$f" ] || [ -L "$f" ]; then say blocked "$f"; fi; done
}
empty() { rmdir -- "$1" 2>/dev/null || :; }
mark() { printf '%s\n' "$1" >"$S/mark" && mv -f -- "$S/mark" .evenkeel-sync; }
