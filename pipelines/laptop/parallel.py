"""Run the independent steps of a pipeline at once; kfp.local runs them one after the other.

Stands in for `kfp.local.orchestrator.dag_orchestrator.run_dag` on flat pipelines.
"""

import concurrent.futures
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_Outcome = concurrent.futures.Future[Any]


@contextlib.contextmanager
def at_once(workers: int) -> Iterator[None]:
    """Let kfp.local run up to this many steps at once until the block ends."""
    from kfp.local.orchestrator import dag_orchestrator

    original = dag_orchestrator.run_dag

    def run_dag(**given: Any) -> Any:
        components, dag = given["components"], given["dag_component_spec"].dag
        tasks = dag.tasks.values()
        if any(
            components[t.component_ref.name].WhichOneof("implementation") == "dag" for t in tasks
        ):
            return original(**given)
        return _Dag(given, workers).run()

    dag_orchestrator.run_dag = run_dag
    try:
        yield
    finally:
        dag_orchestrator.run_dag = original


@dataclass
class _Dag:
    """One pipeline being run: what waits, what runs, what is done."""

    given: Mapping[str, Any]
    workers: int
    done: set[str] = field(default_factory=set)
    running: dict[_Outcome, str] = field(default_factory=dict)

    def run(self) -> Any:
        """Return the pipeline's outputs and status, as kfp.local's own orchestrator does."""
        from kfp.local import io, status
        from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils

        spec = self.given["dag_component_spec"]
        self.waiting = {name: set(t.dependent_tasks) for name, t in spec.dag.tasks.items()}
        self.depths = _depths(self.waiting)
        self.store = io.IOStore(parent=self.given.get("parent_io_store"))
        arguments = OrchestratorUtils.join_user_inputs_and_defaults(
            dag_arguments=self.given["dag_arguments"], dag_inputs_spec=spec.input_definitions
        )
        for name, value in arguments.items():
            self.store.put_parent_input(name, value)
        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            while self._submit(pool):
                self._settle()
        if self.given["fail_stack"]:
            return {}, status.Status.FAILURE
        outputs = OrchestratorUtils.get_dag_outputs(
            dag_outputs_spec=spec.dag.outputs, io_store=self.store
        )
        return outputs, status.Status.SUCCESS

    def _submit(self, pool: concurrent.futures.Executor) -> bool:
        """Fill free workers, steps that most wait for first; return whether any is running."""
        ready = [name for name, upstream in self.waiting.items() if upstream <= self.done]
        ready.sort(key=lambda name: (-self.depths[name], name))
        for name in ready[: self.workers - len(self.running)]:
            del self.waiting[name]
            self.running[pool.submit(self._execute, name)] = name
        return bool(self.running)

    def _execute(self, name: str) -> Any:
        from kfp.local.orchestrator import task_executor

        handed = ("pipeline_resource_name", "components", "executors", "pipeline_root")
        return task_executor.execute_single_task(
            task_name=name,
            task_spec=self.given["dag_component_spec"].dag.tasks[name],
            io_store=self.store,
            runner=self.given["runner"],
            unique_pipeline_id=self.given["unique_pipeline_id"],
            fail_stack=self.given["fail_stack"],
            **{key: self.given[key] for key in handed},
        )

    def _settle(self) -> None:
        """Wait for a step to end; after a failure start nothing more."""
        from kfp.local import status

        ended, _ = concurrent.futures.wait(
            self.running, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in ended:
            name = self.running.pop(future)
            outputs, how = future.result()
            if how != status.Status.SUCCESS:
                self.given["fail_stack"].append(name)
                self.waiting.clear()
            for key, value in outputs.items():
                self.store.put_task_output(name, key, value)
            self.done.add(name)


def _depths(upstream: Mapping[str, set[str]]) -> dict[str, int]:
    """Return how long a chain of steps waits for each step."""
    depths = dict.fromkeys(upstream, 0)
    for _ in upstream:
        for name, needs in upstream.items():
            for need in needs:
                depths[need] = max(depths[need], depths[name] + 1)
    return depths
