# $1: the folder. Prints records that end with a NUL each: a head, entries, an end. An entry is two records: what it is and its path; a link's target.
export LC_ALL=C
if [ -L "$1" ]; then echo "it is a symbolic link; name the folder that it leads to" >&2; exit 3; fi
if [ ! -e "$1" ]; then printf 'absent\0'; exit 0; fi
cd -P -- "$1" || exit 3
id=
if [ -f .evenkeel-sync ] && [ ! -L .evenkeel-sync ]; then IFS= read -r id <.evenkeel-sync || :; fi
writable=no
if [ -w . ]; then writable=yes; fi
printf 'head %s %s %s %s\0' "$(id -u)" "$(date +%s.%N)" "$writable" "$id"
find . -ignore_readdir_race -mindepth 1 \( -name .git -o -name '.evenkeel-*' \) -prune \
	-o -type d \( ! -readable -o ! -executable \) -printf 'x 0 0 0 0 %P\0\0' -prune \
	-o -type d ! -writable -printf 'r 0 0 0 0 %P\0\0' \
	-o -type d -printf 'd 0 0 0 0 %P\0\0' \
	-o -type f -readable -printf 'f %m %U %s %T@ %P\0\0' \
	-o -type f -printf 'u 0 0 0 0 %P\0\0' \
	-o -type l -printf 'l 0 %U 0 0 %P\0%l\0' || exit 4
printf 'end\0'
