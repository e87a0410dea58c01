// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"strings"
	"testing"
)

func TestSSHD(t *testing.T) { testGolden(t, "sshd") }

func TestSSHDIsAskedUnderEveryShell(t *testing.T) {
	tree := newTree(t)
	tree.write("/usr/local/sbin/sshd", "#!/bin/sh\n[ \"$*\" = -T ] && [ \"${0#/}\" != \"$0\" ] || exit 1\necho 'Deprecated option' >&2\nprintf 'port 22\\nPort 2222\\npermitrootlogin no\\n'\n")
	tree.chmod("/usr/local/sbin/sshd")
	for _, words := range shells(t) {
		raw, unknown := said(t, group(t, "sshd"), "1", tree.at("/usr/local/sbin").run(words)...)
		if unknown != "" {
			t.Fatalf("%s: %s", words[0], unknown)
		}
		same(t, items(t, group(t, "sshd"), raw), map[string]string{"port": "22, 2222", "permitrootlogin": "no"})
	}
	for _, words := range shells(t) {
		if _, unknown := said(t, group(t, "sshd"), "0", tree.at("/usr/local/sbin").run(words)...); !strings.Contains(unknown, "only root") {
			t.Errorf("%s: a plain user hears %q", words[0], unknown)
		}
	}
}

func TestAnSSHDThatRefusesSaysWhy(t *testing.T) {
	tree := newTree(t)
	tree.write("/usr/local/sbin/sshd", "#!/bin/sh\necho 'first' >&2\necho 'sshd: no hostkeys available -- exiting.' >&2\nexit 1\n")
	tree.chmod("/usr/local/sbin/sshd")
	for _, words := range shells(t) {
		if _, unknown := said(t, group(t, "sshd"), "1", tree.at("/usr/local/sbin").run(words)...); unknown != "sshd -T: sshd: no hostkeys available -- exiting." {
			t.Errorf("%s: got %q", words[0], unknown)
		}
	}
}

func FuzzSSHD(f *testing.F) { fuzz(f, "sshd", "port 22\nport 23\nPort\nsubsystem sftp x") }
