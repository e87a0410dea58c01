// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"github.com/evenkeel/evenkeel/parity"
)

// conffiles are configuration files of packages that are not as the package brought them. rpm -V would read every file of the system, and with --noconfig leave out these.
func conffiles() Group {
	return Group{
		Name: "conffiles", Lane: parity.Volatile,
		About: "configuration files of packages that were changed or taken away: of dpkg by its own digests, of rpm by those in its database",
		Script: say + rpmQuery + `have awk || unknown 'awk is needed'
told() {
	while IFS= read -r line; do
		case $line in
		*': OK') continue ;;
		*': FAILED open or read') path=${line%': FAILED open or read'} ;;
		*': FAILED') path=${line%': FAILED'} ;;
		*) continue ;;
		esac
		if [ -r "$path" ]; then
			echo "changed $path"
		elif [ -e "$path" ] || [ ! -x "${path%/*}" ] && [ -e "${path%/*}" ]; then
			echo "unread $path"
		elif [ -e "${path%/*}" ] || [ "$root" = 1 ]; then
			echo "missing $path"
		else
			echo "unread $path"
		fi
	done
}
if [ -s /var/lib/dpkg/status ]; then
	have md5sum || unknown 'md5sum is needed'
	awk '
	/^Status:/ { installed = $4 != "config-files" && $4 != "not-installed" }
	/^Conffiles:/ { listed = 1; next }
	listed && /^ / {
		if (installed && match($0, / [0-9a-f]+$/) && RLENGTH == 33) print substr($0, RSTART + 1) "  " substr($0, 2, RSTART - 2)
		next
	}
	{ listed = 0 }' /var/lib/dpkg/status | md5sum -c 2>/dev/null | told
elif [ -x /usr/bin/rpm ] && rpm_database; then
	list=$(rpm_query --qf '[%{FILEFLAGS:fflags}\t%{FILEDIGESTS}\t%{FILENAMES}\n]') && [ -n "$list" ] || unknown 'rpm cannot read its database as nobody, and root writes to it when it reads'
	list=$(say "$list" | awk -F '\t' '$1 ~ /c/ && $1 !~ /g/ && $2 != "" { print $2 "  " $3 }')
	for sum in 64:sha256sum 32:md5sum; do
		have ${sum#*:} || continue
		say "$list" | awk -v n="${sum%:*}" 'length($1) == n' | ${sum#*:} -c 2>/dev/null | told
	done
else
	unknown 'only dpkg and rpm know which configuration files they brought'
fi
`,
		Parse: func(raw []byte) ([]parity.Item, error) {
			var s itemSet
			for state, path := range tagged(raw) {
				switch state {
				case "changed", "missing":
					s.add(parity.Item{Key: path, Value: state})
				case "unread":
					s.add(parity.Item{Key: path, Unknown: "only root may read it"})
				}
			}
			return s.list, nil
		},
	}
}
