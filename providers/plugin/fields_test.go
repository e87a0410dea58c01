// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

// filled is a T none of whose fields, at any depth, is zero or the same as another's.
func filled[T any](t *testing.T) T {
	t.Helper()
	var v T
	n := 0
	fill(t, reflect.ValueOf(&v).Elem(), &n)
	return v
}

func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Interface().(type) {
	case providers.Attached: // what is no device does not cross
		v.Set(reflect.ValueOf(providers.Attached{Name: fmt.Sprint("d", *n), Device: fmt.Sprint("/dev/disk/by-id/x", *n)}))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(1700000000+*n), int64(*n)).UTC()))
		return
	case providers.State: // a closed set
		v.Set(reflect.ValueOf(providers.Suspended))
		return
	case providers.Hop: // what is no host does not cross
		one := func(what string) string { *n++; return fmt.Sprint(what, *n) }
		two := func(what string) []string { return []string{one(what), one(what)} }
		v.Set(reflect.ValueOf(providers.Hop{
			Address: one("h") + ":22", Name: one("h"), User: one("u"), Keys: two("ssh-ed25519 K"), Authorities: two("ssh-ed25519 A"),
			Revoked: two("ssh-ed25519 R"), Identities: two("/i"),
		}))
		return
	case providers.Port: // what is no port does not cross
		v.Set(reflect.ValueOf(providers.Port{Port: *n, Proto: "udp", HostPort: 1000 + *n}))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.String:
		v.SetString(fmt.Sprint("s", *n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(t, v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key, n)
			fill(t, value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("a field of kind %s: teach fill, and the wire, what it is", v.Kind())
	}
}

// keeper keeps what it is given and gives what it is told to.
type keeper struct {
	*echoProvider
	spec    providers.Spec
	ref     providers.ImageRef
	img     images.Image
	machine providers.Machine
	env     providers.EnvInfo
	problem providers.Problem
	event   providers.Event
	stored  providers.StoredImage
	finding providers.Finding
	putRef  providers.ImageRef
	kept    providers.Snapshot
	asked   []any // of the last call on a snapshot
}

func (k *keeper) Check(context.Context, providers.Spec) ([]providers.Problem, error) {
	return []providers.Problem{k.problem}, nil
}

func (k *keeper) PutImage(_ context.Context, img images.Image, p providers.Progress) (providers.ImageRef, error) {
	k.img = img
	p.Emit(k.event)
	return k.putRef, nil
}

func (k *keeper) PutMachine(_ context.Context, s providers.Spec, ref providers.ImageRef, p providers.Progress) (providers.Machine, error) {
	k.spec, k.ref = s, ref
	p.Emit(k.event)
	return k.machine, nil
}
func (k *keeper) ListMachines(context.Context, string) ([]providers.Machine, error) {
	return []providers.Machine{k.machine}, nil
}
func (k *keeper) ListEnvs(context.Context) ([]providers.EnvInfo, error) {
	return []providers.EnvInfo{k.env}, nil
}
func (k *keeper) ListImages(context.Context) ([]providers.StoredImage, error) {
	return []providers.StoredImage{k.stored}, nil
}
func (k *keeper) Diagnose(context.Context) ([]providers.Finding, error) {
	return []providers.Finding{k.finding}, nil
}

func (k *keeper) SaveSnapshot(_ context.Context, d providers.DataRef, name string) (providers.Snapshot, error) {
	k.asked = []any{"save", d, name}
	return k.kept, nil
}

func (k *keeper) RestoreSnapshot(_ context.Context, d providers.DataRef, name string) error {
	k.asked = []any{"restore", d, name}
	return nil
}

func (k *keeper) DeleteSnapshot(_ context.Context, d providers.DataRef, name string) error {
	k.asked = []any{"delete", d, name}
	return nil
}

func (k *keeper) ListSnapshots(_ context.Context, env string) ([]providers.Snapshot, error) {
	k.asked = []any{"list", env}
	return []providers.Snapshot{k.kept}, nil
}

func keep(t *testing.T, k *keeper) providers.Provider {
	t.Helper()
	k.echoProvider = &echoProvider{log: hclog.NewNullLogger()}
	p := echo()
	p.Open = func(context.Context, json.RawMessage, hclog.Logger) (providers.Provider, error) { return k, nil }
	opened, err := plugin.InMemory(p).Open(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { same(t, "Close", opened.Close(), 0, 0) })
	return opened
}

func TestEveryFieldOfEveryTypeCrosses(t *testing.T) {
	k := &keeper{
		machine: filled[providers.Machine](t), env: filled[providers.EnvInfo](t), problem: filled[providers.Problem](t), event: filled[providers.Event](t),
		stored: filled[providers.StoredImage](t), finding: filled[providers.Finding](t), putRef: "ref",
		kept: filled[providers.Snapshot](t),
	}
	p := keep(t, k)
	ctx := t.Context()
	var event providers.Event
	img := filled[images.Image](t)
	ref, err := p.PutImage(ctx, img, func(e providers.Event) { event = e })
	same(t, "PutImage", err, ref, k.putRef)
	same(t, "image", nil, k.img, img)
	same(t, "event of PutImage", nil, event, k.event)
	event = providers.Event{}
	spec := filled[providers.Spec](t)
	m, err := p.PutMachine(ctx, spec, "ref 2", func(e providers.Event) { event = e })
	same(t, "PutMachine", err, m, k.machine)
	same(t, "spec", nil, k.spec, spec)
	same(t, "ref", nil, k.ref, "ref 2")
	same(t, "event of PutMachine", nil, event, k.event)
	list, err := p.ListMachines(ctx, "e")
	same(t, "ListMachines", err, list, []providers.Machine{k.machine})
	envs, err := p.ListEnvs(ctx)
	same(t, "ListEnvs", err, envs, []providers.EnvInfo{k.env})
	problems, err := p.Check(ctx, spec)
	same(t, "Check", err, problems, []providers.Problem{k.problem})
	stored, err := p.(providers.ImagePruner).ListImages(ctx)
	same(t, "ListImages", err, stored, []providers.StoredImage{k.stored})
	findings, err := p.(providers.Doctor).Diagnose(ctx)
	same(t, "Diagnose", err, findings, []providers.Finding{k.finding})
	d := filled[providers.DataRef](t)
	s := p.(providers.Snapshotter)
	saved, err := s.SaveSnapshot(ctx, d, "n1")
	same(t, "SaveSnapshot", err, saved, k.kept)
	same(t, "SaveSnapshot's order", nil, k.asked, []any{"save", d, "n1"})
	same(t, "RestoreSnapshot", s.RestoreSnapshot(ctx, d, "n2"), 0, 0)
	same(t, "RestoreSnapshot's order", nil, k.asked, []any{"restore", d, "n2"})
	same(t, "DeleteSnapshot", s.DeleteSnapshot(ctx, d, "n3"), 0, 0)
	same(t, "DeleteSnapshot's order", nil, k.asked, []any{"delete", d, "n3"})
	kept, err := s.ListSnapshots(ctx, "shop.ci")
	same(t, "ListSnapshots", err, kept, []providers.Snapshot{k.kept})
	same(t, "ListSnapshots's order", nil, k.asked, []any{"list", "shop.ci"})
}

func TestZeroValuesCross(t *testing.T) {
	k := &keeper{machine: providers.Machine{ID: "id", State: providers.Unknown}}
	p := keep(t, k)
	m, err := p.PutMachine(t.Context(), providers.Spec{}, "", nil)
	same(t, "machine", err, m, k.machine)
	same(t, "spec", nil, k.spec, providers.Spec{})
	list, err := p.ListEnvs(t.Context())
	same(t, "ListEnvs", err, list, []providers.EnvInfo{{}})
}
