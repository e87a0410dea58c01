// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// payload is a tar of files, without the blocks that mark its end where cut.
func payload(t *testing.T, cut bool, files ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o600, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if !cut {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

// lay runs the script on a machine as Settle does.
func lay(t *testing.T, c *providers.Core, m providers.Machine, stdin []byte) error {
	t.Helper()
	script, err := os.ReadFile("settle.sh")
	if err != nil {
		t.Fatal(err)
	}
	client, err := c.Dial(t.Context(), m, "")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var out bytes.Buffer
	err = client.Run(t.Context(), ssh.Command{Line: "sudo -n sh -c " + ssh.Quote(string(script)), Stdin: bytes.NewReader(stdin), Stdout: &out, Stderr: &out})
	if err != nil {
		return fmt.Errorf("%w: %s", err, out.String())
	}
	return nil
}

func TestSettleCutShortTakesNoKeyAway(t *testing.T) {
	c := world(t, nil)(web("1"))
	m := up(t, c, providers.UpOptions{}).Machines[0]
	keys := on(t, c, m, "ls /etc/evenkeel/authorized_keys")
	// A client killed while it sends leaves a tar that ends between two files, which tar takes for whole.
	if err := lay(t, c, m, payload(t, true, "hosts", "", "keys/deploy", "ssh-ed25519 AAAA\n")); err == nil {
		t.Error("half an archive was laid")
	}
	if got := on(t, c, m, "ls /etc/evenkeel/authorized_keys"); got != keys {
		t.Errorf("keys are those of %q, were those of %q", got, keys)
	}
	if res := up(t, c, providers.UpOptions{}); len(res.Machines) != 1 {
		t.Errorf("up again came to %+v", res)
	}
}

func TestTwoSettlesAtOnceLeaveWhatOneOfThemLaid(t *testing.T) {
	c := world(t, nil)(web("1"))
	m := up(t, c, providers.UpOptions{}).Machines[0]
	keys := strings.Join(c.Identity.PublicKeys(), "\n") + "\n"
	var wg sync.WaitGroup
	for i := range 8 {
		text := strings.Repeat(fmt.Sprintf("N%d=\"\"\n", i), 4000)
		body := payload(t, false, "hosts", "", "keys/evenkeel", keys, "rules.nft", "", "settings.env", text, "restart", "", "record", fmt.Sprintf("N%d=\n", i))
		wg.Go(func() {
			if err := lay(t, c, m, body); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	settled := strings.TrimSpace(on(t, c, m, "cat /etc/evenkeel/settled"))
	if laid := on(t, c, m, "cut -d'\"' -f1 /etc/evenkeel/settings.env | sort -u"); strings.TrimSpace(laid) != settled {
		t.Errorf("settings are those of %q, the record says %q", laid, settled)
	}
	if left := on(t, c, m, "ls -d /etc/evenkeel/.settle 2>/dev/null || :"); left != "" {
		t.Errorf("left behind: %s", left)
	}
}
