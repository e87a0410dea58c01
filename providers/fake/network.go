// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

const (
	bridge    = "machines"
	gateway   = "10.201.0.1" // the outside's address
	lookEvery = 250 * time.Millisecond
)

// ensureNetwork makes the environment's network run: a process that holds a user namespace, for which our user is root, and in it a
// network namespace with a bridge.
func (p *provider) ensureNetwork(ctx context.Context, env string) (proc, error) {
	unlock, err := p.world.lock(ctx, "env "+env)
	if err != nil {
		return proc{}, err
	}
	defer unlock()
	folder := p.world.network(env)
	s, running, err := readStatus(folder)
	if err != nil {
		return proc{}, err
	}
	if running && s.Ready {
		return s.proc, nil
	}
	if err := endProcess(folder); err != nil {
		return proc{}, err
	}
	if err := makeClaimable(folder); err != nil {
		return proc{}, err
	}
	if err := spawn([]string{"unshare", "-U", "-n", "--map-root-user", "--"}, roleNetwork, string(p.world), env); err != nil {
		if strings.Contains(err.Error(), "unshare failed") {
			return proc{}, &providers.Error{Code: providers.Unsupported, Err: fmt.Errorf("this computer allows no user namespaces: %w", err), Hint: userNamespaces}
		}
		return proc{}, fmt.Errorf("cannot start the environment's network: %w", err)
	}
	if s, _, err = readStatus(folder); err != nil {
		return proc{}, err
	}
	return s.proc, nil
}

// runNetwork is the whole of the network's process.
func runNetwork(w world, env string) error {
	ctx := context.Background()
	folder := w.network(env)
	me, err := self()
	if err != nil {
		return err
	}
	end, _ := untilTold()
	held, err := claim(folder)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := writeJSON(filepath.Join(folder, "status.json"), status{proc: me}); err != nil {
		return err
	}
	err = run(ctx, strings.Join([]string{
		"link set lo up",
		"link add " + bridge + " type bridge forward_delay 0",
		"addr add " + gateway + "/24 dev " + bridge,
		"link set " + bridge + " up",
	}, "\n"), "ip", "-batch", "-")
	if err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(folder, "status.json"), status{proc: me, Ready: true}); err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := ready(null); err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return nil
		case <-tick.C:
			if _, err := os.Stat(folder); err != nil {
				return nil // the environment is gone
			}
		}
	}
}
