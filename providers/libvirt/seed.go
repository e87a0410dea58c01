// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/evenkeel/evenkeel/providers"
)

// writeSeed makes the volume the machine's first boot reads. Only QEMU's user may read it.
func (p *provider) writeSeed(ctx context.Context, g guest) error {
	content, err := g.seed()
	if err != nil {
		return &coded{providers.Invalid, err, ""}
	}
	v, err := g.pool.create(volume{name: g.volume(seedVolume), format: "raw", capacity: int64(len(content)), mode: "0600"})
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	defer func() { _ = v.Free() }() // only a reference count
	if err := p.upload(ctx, v, bytes.NewReader(content), int64(len(content)), nil); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

// seed renders the seed disk. A machine's ID is none of its business: firmware tells it, from the domain's UUID.
func (g guest) seed() ([]byte, error) {
	if !g.cloud {
		return g.spec.Seed.Tar("", g.nics())
	}
	user, err := g.spec.Seed.UserData()
	if err != nil {
		return nil, err
	}
	network, err := providers.NetworkConfig(g.nics())
	if err != nil {
		return nil, err
	}
	// The instance's ID is what cloud-init knows a first boot by.
	meta, err := json.Marshal(map[string]string{"instance-id": g.uuid, "local-hostname": g.spec.Seed.Hostname})
	if err != nil {
		return nil, fmt.Errorf("cannot render meta-data: %w", err)
	}
	return noCloud(map[string][]byte{"user-data": user, "meta-data": meta, "network-config": network})
}
