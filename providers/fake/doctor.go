// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/providers"
)

const userNamespaces = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000"

// Diagnose checks what machines need of this computer.
func (p *provider) Diagnose(ctx context.Context) ([]providers.Finding, error) {
	if err := p.begin(ctx, "diagnose"); err != nil {
		return nil, wrap("examine", "provider fake", err)
	}
	findings := []providers.Finding{p.diagnoseWorld()}
	for _, tool := range []struct{ name, from string }{
		{"setsid", "util-linux"}, {"nsenter", "util-linux"}, {"unshare", "util-linux"}, {"ip", "iproute2"}, {"nft", "nftables"},
	} {
		f := providers.Finding{OK: true, What: tool.name + " is installed"}
		// Asked as our processes ask: their PATH has the folders that a plain user's may lack.
		if run(ctx, "", "/bin/sh", "-c", "command -v "+tool.name) != nil {
			f = providers.Finding{What: tool.name + " is not installed", Remedy: "sudo apt-get install " + tool.from}
		}
		findings = append(findings, f)
	}
	f := providers.Finding{OK: true, What: "user namespaces can be made"}
	if err := run(ctx, "", "unshare", "-U", "-n", "--map-root-user", "--", "true"); err != nil {
		f = providers.Finding{What: "user namespaces cannot be made: " + err.Error(), Remedy: userNamespaces}
	}
	return append(findings, f), nil
}

func (p *provider) diagnoseWorld() providers.Finding {
	dir := string(p.world)
	_, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return providers.Finding{OK: true, What: "world " + dir + " is made on first use"}
	case err == nil:
		err = unix.Access(dir, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return providers.Finding{What: "world " + dir + " cannot be written: " + err.Error(), Remedy: "sudo chown -R \"$USER\" " + dir}
	}
	return providers.Finding{OK: true, What: "world " + dir + " can be written"}
}
