// Modules whose folders hold the custom resource definitions that the tests load; nothing is
// compiled. `go mod download` brings them, held to go.sum.
module falaj.example/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/cilium/cilium v1.20.2
	github.com/kedacore/keda/v2 v2.20.2
	github.com/kubeflow/trainer/v2 v2.2.0
	github.com/kubernetes-csi/external-snapshotter/client/v8 v8.7.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
	istio.io/api v1.31.4
	knative.dev/serving v0.51.0
	sigs.k8s.io/gateway-api v1.6.1
	sigs.k8s.io/kueue v0.17.0
)
