package main

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// bench is one performance.
type bench struct {
	*show.Stage
	config config

	admin, controller, tekton, pac fixture.Clients
	etcd                           *clientv3.Client
	audit                          audit
	template                       template

	starts  int // of PAC's watcher
	round   int
	results []result
}

func (b *bench) play(ctx context.Context) (r show.Result, err error) {
	for clients, user := range map[*fixture.Clients]stack.User{
		&b.admin: stack.Admin, &b.controller: stack.PACControllerUser,
		&b.tekton: stack.TektonControllerUser, &b.pac: stack.PACWatcherUser,
	} {
		if *clients, err = fixture.NewClients(b.Config(user)); err != nil {
			return r, err
		}
	}
	b.audit = audit{b.AuditLog()}
	if b.etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{b.EtcdURL()}, Logger: zap.NewNop()}); err != nil {
		return r, err
	}
	defer b.etcd.Close()
	b.Say("a push has PAC make the run that all are copies of")
	if b.template, err = b.newTemplate(ctx); err != nil {
		return r, err
	}
	turns := b.turns()
	for i, turn := range turns {
		b.round = turn.round
		b.Say("%s, %s: %s", turn.what.name, turn.who, turn.what.about)
		began := time.Now()
		f, err := turn.what.take(ctx, &session{
			bench: b, contender: contenders[turn.who](b, turn.what), who: turn.who, what: turn.what, last: i == len(turns)-1,
		})
		if err != nil {
			return r, fmt.Errorf("%s, %s: %w", turn.what.name, turn.who, err)
		}
		b.note(turn.what, turn.who, f)
		b.Say("  took %s: %s", show.Brief(time.Since(began)), f.line())
	}
	all := b.sum()
	if b.config.Label != "" {
		if err := all.write(b.config.Label); err != nil {
			return r, err
		}
	}
	return show.Result{OK: true, Report: all.text(), Access: "  logs        " + b.LogsDir()}, nil
}

// turn is one measurement of one contender.
type turn struct {
	round int
	what  measure
	who   string
}

// turns are all of them, in their order.
func (b *bench) turns() []turn {
	var all []turn
	for round := range b.config.Rounds {
		for _, m := range measures {
			for _, who := range order {
				if b.config.wants(m, who) {
					all = append(all, turn{round, m, who})
				}
			}
		}
	}
	return all
}

func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
