// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"archive/tar"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// settleScript lays the payload on its standard input. It is idempotent. It needs few processes, since each costs some 50 ms in emulation.
//
//go:embed settle.sh
var settleScript string

// settlement is what one machine must hold beyond its image.
type settlement struct {
	parts map[string][]laidFile // by part; a part that is missing is taken away
	// unread are parts whose content this client does not know: what the machine says of them is neither right nor wrong.
	unread  []string
	kept    []string   // names of files that the machine has already: part of the digest, not of the payload
	extra   []laidFile // the other way round
	restart []restart
}

// restart is a service that is restarted when a part changes.
type restart struct{ part, unit string }

// newSettlement says what Settle has to lay on a machine, given every machine of the environment.
func (c *Core) newSettlement(m seat, all []Machine, certificate *tlsFiles) settlement {
	s := settlement{parts: map[string][]laidFile{
		partScript:   {{"settle.sh", 0, []byte(settleScript)}},
		partNames:    append(externalFiles(c.Plan), laidFile{"hosts", 0o644, []byte(hostsBlock(c.Plan, all))}),
		partRules:    {{"rules.nft", 0o644, []byte(rules(c.Plan, m.Machine, all))}},
		partSettings: {{"settings.env", 0o600, []byte(settingsFile(m.Settings))}},
	}}
	logins := c.Logins()
	for _, user := range loginUsers(c.Plan) {
		lines := logins[user]
		s.add(partKeys, laidFile{"keys/" + user, 0o644, []byte(strings.Join(lines, "\n") + "\n")})
	}
	if values, known := c.Secrets[m.Name]; known {
		for _, name := range sortedKeys(values) {
			s.add(partSecrets, laidFile{"secrets/" + name, 0o600, values[name].Reveal()})
		}
	} else if len(m.Secrets) > 0 {
		s.unread = append(s.unread, partSecrets)
	}
	if data := dataFile(mounts(m.Machine, m.there)); data != "" {
		s.add(partData, laidFile{"data", 0o644, []byte(data)})
	}
	for _, f := range expiryUnits(m.there.Labels.Time(LabelExpires)) {
		s.add(partExpiry, f)
	}
	s.certify(certificate)
	for _, part := range []string{partSettings, partSecrets, partTLS} {
		for _, unit := range m.RestartOn[part] {
			s.restart = append(s.restart, restart{part, unit})
		}
	}
	return s
}

func (s *settlement) add(part string, f laidFile) { s.parts[part] = append(s.parts[part], f) }

// record is what a machine with that salt says once it was laid. Parts that were not read are as before says.
func (s settlement) record(before record) record {
	r := record{salt: before.salt, parts: map[string]string{}}
	for _, part := range allParts() {
		if slices.Contains(s.unread, part) {
			r.parts[part] = before.parts[part]
			continue
		}
		r.parts[part] = digest(r.salt, s.parts[part])
	}
	return r
}

// payload is the tar that the script reads, its last file the record.
func (s settlement) payload(r record) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	write := func(f laidFile) error {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err := w.Write(f.content)
		return err
	}
	files := slices.Clone(s.extra)
	for _, part := range allParts() {
		for _, f := range s.parts[part] {
			if part != partScript && !slices.Contains(s.kept, f.name) {
				files = append(files, f)
			}
		}
	}
	var lines strings.Builder
	for _, on := range s.restart {
		fmt.Fprintf(&lines, "%s %s\n", on.part, on.unit)
	}
	files = append(files, laidFile{"restart", 0o600, []byte(lines.String())}, laidFile{"record", 0o600, []byte(r.String())})
	for _, f := range files {
		if err := write(f); err != nil {
			return nil, fmt.Errorf("cannot write %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot end the archive: %w", err)
	}
	return buf.Bytes(), nil
}

// lay runs the script on a machine as root, where before is its record now, and returns the services that were restarted. When it returns, every
// file is in place, the rules are loaded, first boot's steps are done and the services run again.
func (s settlement) lay(ctx context.Context, client *ssh.Client, before record) ([]string, error) {
	if len(s.unread) > 0 {
		return nil, fmt.Errorf("the machine's %s were not read", strings.Join(s.unread, ", "))
	}
	if before.salt == "" {
		before.salt = newSalt()
	}
	payload, err := s.payload(s.record(before))
	if err != nil {
		return nil, err
	}
	var out bounded.Tail
	err = client.Run(ctx, ssh.Command{Line: rootLine, Stdin: withScript(settleScript, bytes.NewReader(payload)), Stdout: &out, Stderr: &out})
	if err != nil {
		return nil, withOutput(err, &out)
	}
	var restarted []string
	for line := range strings.Lines(out.String()) {
		unit, ok := strings.CutPrefix(strings.TrimSpace(line), "restarted ")
		if ok && slices.ContainsFunc(s.restart, func(r restart) bool { return r.unit == unit }) {
			restarted = append(restarted, unit)
		}
	}
	return restarted, nil
}

// rootLine runs as root, under the login user, the script that withScript puts in front of a command's input. In an argument the script would stand in the
// machine's journal, by sudo, line after line. The shell reads no byte more than the script's, and runs none of one that did not come whole.
const rootLine = `sudo -n sh -c 'until [ "$line" = "# end" ]; do IFS= read -r line || exit 1; script="$script$line
"; done; eval "$script"'`

func withScript(script string, input io.Reader) io.Reader {
	return io.MultiReader(strings.NewReader(script), strings.NewReader("# end\n"), input)
}

// maxLook bounds what a machine says of itself: a record, a certificate and some authorities take 4 KiB.
const maxLook = 64 << 10
