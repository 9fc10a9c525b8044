package stack

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Board returns the process of the board, whose pages are at its PagesURL; nil if the add-on was
// installed without one.
func (a *Addon) Board() *Replica { return a.board }

// rollOutBoard makes the board match its Deployment, and waits until it is ready.
func (a *Addon) rollOutBoard(ctx context.Context) error {
	deployment, err := a.stack.kube.AppsV1().Deployments(a.opts.Namespace).Get(ctx, addonName+"-board", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return a.endBoard(ctx)
	}
	if err != nil {
		return err
	}
	if a.board != nil && sameTemplate(a.boardDeployment, deployment) {
		return nil
	}
	if err := a.endBoard(ctx); err != nil {
		return err
	}
	if a.board, err = a.replica(ctx, deployment, 0); err != nil {
		return err
	}
	a.boardDeployment = deployment
	if err := a.board.Launch(); err != nil {
		return err
	}
	return a.board.WaitReady(ctx)
}

func sameTemplate(a, b *appsv1.Deployment) bool {
	return equality.Semantic.DeepEqual(a.Spec.Template, b.Spec.Template)
}

func (a *Addon) endBoard(ctx context.Context) error {
	board := a.board
	if a.board = nil; board == nil {
		return nil
	}
	return board.end(ctx)
}
