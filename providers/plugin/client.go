// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

var pluginName = lazyregexp.New(`^[a-z][a-z0-9-]{0,31}$`)

// remote is the far side of a connection, before Open.
type remote struct {
	rpc    proto.ProviderClient
	name   string
	fields []string     // of Spec, that it understands
	gone   func() error // why nobody answers any more; may wait for a dying process
	log    hclog.Logger
	undo   time.Duration // how long a cancelled Put is waited for
}

// connect asks who is there. The plugin it returns opens through the connection.
func connect(ctx context.Context, conn grpc.ClientConnInterface, name string, gone func() error, log hclog.Logger) (providers.Plugin, error) {
	r := &remote{rpc: proto.NewProviderClient(conn), name: name, gone: gone, log: log, undo: undoTime}
	return r.plugin(ctx)
}

func (r *remote) plugin(ctx context.Context) (providers.Plugin, error) {
	info, err := r.rpc.Info(ctx, &proto.InfoRequest{})
	if err != nil {
		return providers.Plugin{}, r.fail(ctx, err, "start", r.subject())
	}
	if info.GetName() != r.name {
		return providers.Plugin{}, &providers.Error{
			Code: providers.Invalid, Op: "start", Subject: r.subject(),
			Err: fmt.Errorf("its program says that it is %q", text(info.GetName())),
		}
	}
	r.fields = info.GetSpecFields()
	return providers.Plugin{
		Name:    r.name,
		Formats: each(info.GetFormats(), func(f string) images.Format { return images.Format(text(f)) }),
		Traits:  providers.Traits{Local: info.GetTraits().GetLocal(), HostKernel: info.GetTraits().GetHostKernel(), ReadOnly: info.GetTraits().GetReadOnly()},
		Open:    r.open,
	}, nil
}

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithIdleTimeout(0), // an idle connection would be closed after 30 minutes, and there is nowhere to connect again
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
	}
}

func (r *remote) subject() string { return "provider " + r.name }

// open is providers.Plugin.Open. log is not passed on: the process logs to where it was launched.
func (r *remote) open(ctx context.Context, config json.RawMessage, _ hclog.Logger) (providers.Provider, error) {
	o, err := r.rpc.Open(ctx, &proto.OpenRequest{Config: config})
	if err != nil {
		return nil, r.fail(ctx, err, "open", r.subject())
	}
	return &client{r, o.GetSession(), o.GetAbilities()}, nil
}

// fail makes the error of a call what a provider called directly would have returned; of nil it is ctx's own.
func (r *remote) fail(ctx context.Context, err error, op, subject string) error {
	if err == nil {
		err = ctx.Err()
	}
	if f := failureOf(err); f != nil {
		if f.Ended == proto.Ended_ENDED_CANCELED && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			f.Ended = proto.Ended_ENDED_DEADLINE // a deadline crosses as a cancel
		}
		return receiveFailure(f, op, subject)
	}
	e := &providers.Error{Code: providers.Internal, Op: op, Subject: subject}
	switch s := status.Convert(err); {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.Code() == codes.DeadlineExceeded: // gRPC's clock was a moment ahead of ctx
		return context.DeadlineExceeded
	case s.Code() == codes.Unavailable, s.Code() == codes.Canceled:
		e.Code, e.Err = providers.Unavailable, r.gone()
	case s.Code() == codes.Unimplemented:
		e.Code, e.Err = providers.Unsupported, errors.New("the plugin is of another version and does not know this call")
	case s.Code() == codes.ResourceExhausted:
		e.Code, e.Err = providers.Exhausted, errors.New(text(s.Message()))
	default:
		e.Err = errors.New(text(s.Message()))
	}
	return e
}

// client is an opened provider on the far side. It has every ability's methods; Can says which are real.
type client struct {
	*remote
	session   uint64
	abilities []string
}

var (
	_ providers.Provider    = (*client)(nil)
	_ providers.Abler       = (*client)(nil)
	_ providers.Starter     = (*client)(nil)
	_ providers.Suspender   = (*client)(nil)
	_ providers.Snapshotter = (*client)(nil)
	_ providers.Consoler    = (*client)(nil)
	_ providers.ImagePruner = (*client)(nil)
	_ providers.Doctor      = (*client)(nil)
	_ providers.Dialer      = (*client)(nil)
)

// Can implements providers.Abler.
func (c *client) Can(ability string) bool { return slices.Contains(c.abilities, ability) }

// knows refuses a spec that uses what the plugin would not see.
func (c *client) knows(spec providers.Spec, op string) error {
	unknown := unknownFields(spec, c.fields)
	if len(unknown) == 0 {
		return nil
	}
	return &providers.Error{
		Code: providers.Unsupported, Op: op, Subject: "machine " + spec.Name,
		Err:  fmt.Errorf("plugin %s is older than this program and does not know: %s", c.name, strings.Join(unknown, ", ")),
		Hint: "install evenkeel and its plugins from one build",
	}
}

// machine is the machine of a reply. One that breaks the contract is an error: it is what the call was to make.
func (c *client) machine(m *proto.Machine, op string) (providers.Machine, error) {
	got, err := fromMachine(m)
	if err == nil && got.ID == "" {
		err = errNoID
	}
	if err != nil {
		return providers.Machine{}, c.broke(err, op)
	}
	return got, nil
}

// machines are those of a list. One that breaks the contract must not hide the others: it is Unknown, and the log says why. Without an ID no call
// could name it, so that is an error.
func (c *client) machines(list []*proto.Machine) ([]providers.Machine, error) {
	var got []providers.Machine
	for _, m := range list {
		there, err := fromMachine(m)
		if there.ID == "" {
			return nil, c.broke(errNoID, "list")
		}
		if err != nil {
			c.log.Warn("a machine is listed as unknown: what the provider says of it is not allowed", "machine", there.Name, "reason", err)
		}
		got = append(got, there)
	}
	return got, nil
}

var errNoID = errors.New("a machine without ID")

func (r *remote) broke(err error, op string) error {
	return &providers.Error{Code: providers.Internal, Op: op, Subject: r.subject(), Err: fmt.Errorf("it broke the contract: %w", err)}
}
