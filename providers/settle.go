// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// settleScript lays the payload on its standard input. It is idempotent. It needs few processes, since each costs some 50 ms in emulation.
//
//go:embed settle.sh
var settleScript string

// settlement is what one machine must hold beyond its image: the payload Settle lays, and its digest.
type settlement struct {
	payload []byte // tar: hosts, keys/USER, rules.nft, settings.env; in this order
	digest  string // 64 hex digits over script and payload
}

// newSettlement says what Settle has to lay on m, given every machine of the environment.
func newSettlement(plan *envs.Plan, m envs.Machine, all []Machine, login []string) (settlement, error) {
	files := map[string]string{
		"hosts":        hostsBlock(plan, all),
		"rules.nft":    rules(plan, m, all),
		"settings.env": settingsFile(m.Settings),
	}
	for _, user := range loginUsers(plan) {
		files["keys/"+user] = strings.Join(login, "\n") + "\n"
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range sortedKeys(files) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}); err != nil {
			return settlement{}, err
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			return settlement{}, err
		}
	}
	if err := w.Close(); err != nil {
		return settlement{}, err
	}
	h := sha256.New()
	h.Write([]byte(settleScript))
	h.Write(buf.Bytes())
	return settlement{buf.Bytes(), hex.EncodeToString(h.Sum(nil))}, nil
}

// lay runs the script on a machine as root. It returns once every file is in place, the rules are loaded and first boot's steps are done.
func (s settlement) lay(ctx context.Context, client *ssh.Client) error {
	var out tailBuffer
	err := client.Run(ctx, ssh.Command{
		Line:   asRoot(settleScript) + " settle " + s.digest,
		Stdin:  bytes.NewReader(s.payload),
		Stdout: &out,
		Stderr: &out,
	})
	if err != nil {
		return withOutput(err, &out)
	}
	return nil
}

// settledDigest reads what Settle last wrote on a machine; "" where it never finished.
func settledDigest(ctx context.Context, client *ssh.Client) (string, error) {
	var out tailBuffer
	if err := client.Run(ctx, ssh.Command{Line: "cat " + PathSettled + " 2>/dev/null || test ! -e " + PathSettled, Stdout: &out}); err != nil {
		return "", withOutput(err, &out)
	}
	return strings.TrimSpace(out.String()), nil
}

// asRoot is a shell line that runs script as root under the login user.
func asRoot(script string) string { return "sudo -n sh -c " + ssh.Quote(script) }

// loginUsers are the users that the keys let in: the core's own, and the definition's where it names another.
func loginUsers(plan *envs.Plan) []string {
	users := []string{LoginUser}
	if u := plan.Access.User; u != "" && u != LoginUser {
		users = append(users, u)
	}
	return users
}

// hostsBlock names every machine of the environment; a kind's name resolves to all of its machines.
func hostsBlock(plan *envs.Plan, all []Machine) string {
	var b strings.Builder
	for _, pm := range plan.Machines {
		for _, m := range all {
			if m.Name == pm.Name && m.Address != "" {
				fmt.Fprintf(&b, "%s %s %s.%s %s\n", m.Address, m.Name, m.Name, plan.Env, pm.Kind)
			}
		}
	}
	return b.String()
}

// rules are the machine's inbound rules; what none of them allows is refused at once instead of left to time out. They extend the
// image's own default-deny chain, which lets in SSH, ICMP, DHCP and what is established.
func rules(plan *envs.Plan, m envs.Machine, all []Machine) string {
	var b strings.Builder
	for _, r := range m.Allow {
		ports := fmt.Sprint(r.PortLow)
		if r.PortHigh != r.PortLow {
			ports = fmt.Sprintf("%d-%d", r.PortLow, r.PortHigh)
		}
		for _, from := range sources(plan, r.From, all) {
			fmt.Fprintf(&b, "add rule inet evenkeel input %s%s dport %s accept\n", from, r.Proto, ports)
		}
	}
	b.WriteString("add rule inet evenkeel input meta l4proto tcp reject with tcp reset\n")
	b.WriteString("add rule inet evenkeel input reject with icmpx type admin-prohibited\n")
	return b.String()
}

// sources are the match prefixes for a rule's from; none where a kind has no machine with an address.
func sources(plan *envs.Plan, from string, all []Machine) []string {
	if from == envs.Anywhere {
		return []string{""}
	}
	if p, err := netip.ParsePrefix(from); err == nil {
		return []string{family(p.Addr()) + " saddr " + p.Masked().String() + " "}
	}
	var list []string
	for _, pm := range plan.Machines {
		for _, m := range all {
			if pm.Kind != from || m.Name != pm.Name {
				continue
			}
			if a, err := netip.ParseAddr(m.Address); err == nil {
				list = append(list, family(a)+" saddr "+a.String()+" ")
			}
		}
	}
	return list
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

// settingsFile is an environment file that systemd's EnvironmentFile= and a sourcing shell read alike: double quotes, with a backslash
// before what both treat as special (systemd.exec(5), "EnvironmentFile=").
func settingsFile(settings map[string]string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
	var b strings.Builder
	for _, k := range sortedKeys(settings) {
		fmt.Fprintf(&b, "%s=\"%s\"\n", k, escape.Replace(settings[k]))
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
