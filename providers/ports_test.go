// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"context"
	"errors"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

// publisher notes where machines are asked to be published, and refuses a port.
type publisher struct {
	*place
	refused int
	asked   [][]providers.Port
}

func (p *publisher) PutMachine(_ context.Context, s providers.Spec, _ providers.ImageRef, _ providers.Progress) (providers.Machine, error) {
	p.asked = append(p.asked, s.Publish)
	code := providers.Exhausted // ends the run
	for _, port := range s.Publish {
		if port.HostPort == p.refused {
			code = providers.Conflict
		}
	}
	return providers.Machine{}, &providers.Error{Code: code, Op: "create", Subject: "machine " + s.Name, Err: errors.New("no")}
}

func TestAMachineIsPublishedWhereItsForerunnerWas(t *testing.T) {
	cases := []struct {
		name, label string
		pin         int
		refused     int
		want        []int
	}{
		{"where it is known", "443/tcp=20443 80/tcp=20080", 0, 1, []int{20080}},
		{"a pin comes first", "80/tcp=20080", 8080, 1, []int{8080}},
		{"where somebody else is by now, anywhere", "80/tcp=20080", 0, 20080, []int{20080, 0}},
		{"where nothing is known, anywhere", "", 0, 1, []int{0}},
		{"nonsense is nothing known", "80/tcp= 80 /=1 80/udp=20080 80/tcp=99999 80/tcp=-1", 0, 1, []int{0}},
	}
	for _, test := range cases {
		m := web("1")
		m.Publish = []envs.Publish{{Port: 80, Proto: "tcp", HostPort: test.pin}}
		there := recorded(web("1"))
		there.State = providers.Stopped
		there.Labels[providers.LabelPorts] = test.label
		p := &publisher{place: &place{machines: []providers.Machine{there}}, refused: test.refused}
		c := providers.Core{Plan: plan(m), Provider: starting{p}, Plugin: local}
		_, _ = c.Up(t.Context(), providers.UpOptions{}) // the publisher lets none succeed
		var got []int
		for _, ports := range p.asked {
			got = append(got, ports[0].HostPort)
		}
		if len(got) != len(test.want) || got[0] != test.want[0] || got[len(got)-1] != test.want[len(got)-1] {
			t.Errorf("%s: asked for %v, want %v", test.name, got, test.want)
		}
	}
}

// starting is a place whose machines start.
type starting struct{ *publisher }

func (p starting) StopMachine(context.Context, string) error { return nil }

func (p starting) StartMachine(_ context.Context, id string) (providers.Machine, error) {
	there := p.machines[0]
	there.State = providers.Running
	return there, nil
}
