# $1: make, switch or drop. $2: the folder. $3: the new one beside it. $4: whose it is to be, as root; empty where that user runs this.
set -eu
# As root it goes only where nobody else can put a link in the way.
safe() {
	rest=${1#/}
	who=$2
	cd /
	while [ "$rest" ]; do
		case $rest in */*) part=${rest%%/*} rest=${rest#*/} ;; *) part=$rest rest= ;; esac
		if [ -L "$part" ]; then echo "$part on the way to $1 is a symbolic link" >&2; exit 1; fi
		if [ ! -d "$part" ]; then mkdir -m 755 -- "$part"; fi
		cd -P -- "./$part"
		[ -z "$who" ] || case $(stat -c '%u %A' .) in
		0\ d????-??-?) ;;
		*) echo "$(pwd) is not root's alone" >&2; exit 1 ;;
		esac
	done
}
safe "${2%/*}" "$4"
to=${2##*/} new=${3##*/}
case $1 in
make)
	find . -mindepth 1 -maxdepth 1 -name '.evenkeel-new-*' -mmin +60 -exec rm -rf {} + # left by runs that died
	if [ -L "$to" ] || { [ -e "$to" ] && [ ! -d "$to" ]; }; then echo "$2 is there already, and is no folder" >&2; exit 1; fi
	mkdir -m 755 -- "$new"
	[ -z "$4" ] || chown -- "$4" "$new"
	;;
switch)
	# renameat2(2) with RENAME_EXCHANGE: there is no moment without the folder.
	if [ ! -e "$to" ]; then
		mv -T -- "$new" "$to"
	else
		case $(uname -m) in x86_64) nr=316 ;; aarch64) nr=276 ;; *) nr= ;; esac
		[ "$nr" ] && perl -e 'exit(syscall($ARGV[0]+0, -100, $ARGV[1], -100, $ARGV[2], 2) == 0 ? 0 : 1)' "$nr" "$new" "$to" 2>/dev/null || {
			mv -T -- "$to" "$new.old"
			mv -T -- "$new" "$to"
			mv -T -- "$new.old" "$new"
		}
		rm -rf -- "$new"
	fi
	sync -f . 2>/dev/null || :
	;;
drop) rm -rf -- "$new" ;;
esac
