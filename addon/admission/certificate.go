package admission

import (
	"crypto/tls"
	"crypto/x509"
	"sync"

	corelisters "k8s.io/client-go/listers/core/v1"
	"knative.dev/pkg/webhook/certificates/resources"
)

// pair is a certificate with its key, and the authority that signed it.
type pair struct {
	tls.Certificate
	authority []byte
}

// parse reads a Secret's data in the layout of knative.dev/pkg.
func parse(data map[string][]byte) (*pair, error) {
	certificate, err := tls.X509KeyPair(data[resources.ServerCert], data[resources.ServerKey])
	if err != nil {
		return nil, err
	}
	if certificate.Leaf == nil {
		if certificate.Leaf, err = x509.ParseCertificate(certificate.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &pair{Certificate: certificate, authority: data[resources.CACert]}, nil
}

// presented is the certificate that this replica presents: the one in the Secret, or, once the
// Secret is deleted or damaged, the last usable one that was there. The API server trusts that one
// until some time after it is replaced.
type presented struct {
	secrets corelisters.SecretNamespaceLister
	name    string

	mu      sync.Mutex
	last    *pair
	version string // of the Secret that held it
}

func (p *presented) current() (*pair, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	secret, err := p.secrets.Get(p.name)
	if err == nil && secret.ResourceVersion != p.version {
		var next *pair
		if next, err = parse(secret.Data); err == nil {
			p.last, p.version = next, secret.ResourceVersion
		}
	}
	if p.last != nil {
		return p.last, nil
	}
	return nil, err
}

// certificate implements tls.Config.GetCertificate.
func (p *presented) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	current, err := p.current()
	if err != nil {
		return nil, err
	}
	return &current.Certificate, nil
}
