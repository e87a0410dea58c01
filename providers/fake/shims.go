// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// writeShims writes the programs that stand in front of the host's: they tell what the machine has, not what the host has, and play the
// init system, which no machine runs.
func writeShims(dir string, spec providers.Spec) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	const systemctl = `#!/bin/sh
# A unit is active when it was started, or is one of those that run from boot, as what was enabled is. Every call is recorded.
echo "$*" >>/var/log/systemctl
verb=
now=
for word; do
	shift
	case $word in
	-q | --quiet) exec >/dev/null ;;
	--now) now=1 ;;
	-*) ;;
	*) if [ "$verb" ]; then set -- "$@" "${word%.service}"; else verb=$word; fi ;;
	esac
done
mkdir -p /run/units /var/lib/enabled
for unit; do
	file=/run/units/$unit
	case $unit in ssh | sshd | nftables) default=active ;; *) default=inactive ;; esac
	[ ! -e "/var/lib/enabled/$unit" ] || default=active
	case $verb in
	start | restart | reload | try-restart | reload-or-restart) echo active >"$file" ;;
	stop) echo inactive >"$file" ;;
	enable)
		: >"/var/lib/enabled/$unit"
		[ ! "$now" ] || echo active >"$file"
		;;
	disable)
		rm -f "/var/lib/enabled/$unit"
		[ ! "$now" ] || echo inactive >"$file"
		;;
	is-active)
		state=$default
		[ ! -e "$file" ] || read -r state <"$file"
		echo "$state"
		[ "$state" = active ] || exit 3
		;;
	esac
done
case $verb in is-system-running) echo running ;; esac
exit 0
`
	shims := map[string]string{
		"systemctl":  systemctl,
		"journalctl": "#!/bin/sh\nexit 0\n",
		"nproc":      fmt.Sprintf("#!/bin/sh\necho %d\n", spec.CPUs),
		"sudo": `#!/bin/sh
# Whoever is in here is root already.
while :; do
	case ${1-} in
	-n | -E | -H) shift ;;
	-u) shift 2 ;;
	--) shift && break ;;
	-*) echo "sudo: unknown option $1" >&2 && exit 1 ;;
	*) break ;;
	esac
done
HOME=/root USER=root LOGNAME=root exec "$@"
`,
		"df": fmt.Sprintf(`#!/bin/sh
# The size of the machine's disk stands for that of /, in POSIX form; everything else is df's own business.
for last; do :; done
case "${last-} $*" in
%[3]s"/ -B1 --output=size /" | "/ --output=size -B1 /") printf ' 1B-blocks\n%%s\n' %[1]d ;;
"/ -Pk /" | "/ -kP /" | "/ -P -k /" | "/ -k -P /") printf 'Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/fake3 %%s 0 %%s 0%%%% /\n' %[2]d %[2]d ;;
*) exec /usr/.bin/df "$@" ;;
esac
`, spec.Disk, spec.Disk/1024, dataSizes(spec)),
	}
	for name, text := range shims {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// dataSizes are the branches of df for data disks, which are folders.
func dataSizes(spec providers.Spec) string {
	var b strings.Builder
	for _, d := range spec.Data {
		fmt.Fprintf(&b, "%s) printf 'Filesystem 1024-blocks Used Available Capacity Mounted on\\ndata/%s %d 0 %d 0%%%% %%s\\n' %s ;;\n",
			ssh.Quote(d.Mount+" -Pk "+d.Mount), d.Name, d.Size/1024, d.Size/1024, ssh.Quote(d.Mount))
	}
	return b.String()
}

// meminfo is what /proc/meminfo of the machine says, in the form of proc_meminfo(5).
func meminfo(memory int64) []byte {
	kib := memory / 1024
	return fmt.Appendf(nil, "MemTotal:       %8d kB\nMemFree:        %8d kB\nMemAvailable:   %8d kB\nBuffers:               0 kB\nCached:                0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n", kib, kib/2, kib/2)
}
