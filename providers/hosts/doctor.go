// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"context"
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
)

// maxTold bounds what one list says of many.
const maxTold = 20

// Diagnose implements providers.Doctor. It dials nobody: what it examines is whether each machine could be believed.
func (p *provider) Diagnose(ctx context.Context) ([]providers.Finding, error) {
	found := []providers.Finding{{OK: len(p.machines) > 0, What: fmt.Sprintf("%s from %s", counted(len(p.machines), "machine"), strings.Join(p.sources, ", ")),
		Remedy: "name machines in the tier's config: addresses, ssh_config or inventory"}}
	bad := 0
	for _, m := range p.machines {
		f := providers.Finding{What: m.Name + ": " + m.Host.Trouble}
		for i, hop := range m.Host.Hops {
			if f.Remedy == "" && len(hop.Keys) == 0 && len(hop.Authorities) == 0 {
				f.What, f.Remedy = fmt.Sprintf("%s: no key of %s is known, and no host authority that could vouch for it", m.Name, hop.Name), m.Host.HowToTrust(i)
			}
		}
		if m.Host.Trouble == "" && f.Remedy == "" {
			continue
		}
		if bad++; bad <= maxTold {
			found = append(found, f)
		}
	}
	if bad > maxTold {
		found = append(found, providers.Finding{What: fmt.Sprintf("and %d more machines that cannot be reached so", bad-maxTold)})
	}
	if bad == 0 && len(p.machines) > 0 {
		found = append(found, providers.Finding{OK: true, What: "a host key or a host authority is known for each"})
	}
	return found, ctx.Err()
}
