# The figures of Elixir's `DynamicSupervisor`, as benches/src/system.rs takes them of the others.
#
# `figures.exs version` prints the version; `figures.exs FIGURE N` takes a figure over N children
# and prints it as the programs in Rust do. Values are nanoseconds, or bytes.

defmodule Figures.Child do
  def child_spec({body, restart}) do
    %{id: :child, start: {__MODULE__, :start_link, [body]}, restart: restart, shutdown: 5000}
  end

  def start_link(body), do: :proc_lib.start_link(__MODULE__, :init, [body])

  def init(:idle) do
    :proc_lib.init_ack({:ok, self()})
    receive do: (:never -> :ok)
  end

  def init({:hooked, hooks}) do
    Process.flag(:trap_exit, true)
    :proc_lib.init_ack({:ok, self()})

    receive do
      {:EXIT, _, :shutdown} ->
        :counters.add(hooks, 1, 1)
        exit(:shutdown)
    end
  end

  def init({:crashing, table, to}) do
    :proc_lib.init_ack({:ok, self()})

    case :ets.lookup(table, :at) do
      [at: at] -> send(to, {:restarted, self(), Figures.now() - at})
      [] -> send(to, {:lives, self()})
    end

    receive do
      :crash ->
        :ets.insert(table, {:at, Figures.now()})
        exit(:crashed)
    end
  end

  def init({:storming, runs, restarts, to}) do
    :proc_lib.init_ack({:ok, self()})
    :counters.add(runs, 1, 1)

    if :counters.get(runs, 1) >= restarts do
      send(to, :enough)
      receive do: (:never -> :ok)
    else
      exit(:crashed)
    end
  end
end

defmodule Figures do
  @span 10_000
  @storming 100

  def main(["version"]), do: IO.puts("#{System.version()} on OTP #{System.otp_release()}")

  def main([figure, count]) do
    # The reports of a million crashes are not what is measured.
    :logger.set_primary_config(:level, :none)
    task = Task.async(fn -> measure(figure, String.to_integer(count)) end)

    case Task.await(task, :infinity) do
      {:value, value} -> IO.puts("value #{value * 1.0}")
      {:value, value, note} -> IO.puts("value #{value * 1.0}\nnote #{note}")
      {:wrong, what} -> IO.puts("wrong #{what}")
    end
  end

  def now, do: System.monotonic_time(:nanosecond)

  defp measure("start", n) do
    root = root()
    start = now()
    start_all(root, n, :idle, :temporary)
    {:value, (now() - start) / n}
  end

  defp measure("memory", n) do
    root = root()
    before = resident()
    start_all(root, n, :idle, :temporary)
    {:value, (resident() - before) / n}
  end

  defp measure("which", n) do
    root = root()
    start_all(root, n, :idle, :temporary)
    list(root, n)
  end

  defp measure("which-again", n) do
    root = root()
    start_all(root, n, :idle, :temporary)
    [_ | again] = for _ <- 0..20, do: list(root, n)
    Enum.find(again, &match?({:wrong, _}, &1)) || Enum.at(Enum.sort(again), 9)
  end

  defp measure("terminate", n) do
    root = root()
    :rand.seed(:exsss, 7)
    order = Enum.shuffle(start_all(root, n, :idle, :temporary))
    start = now()
    Enum.each(order, fn pid -> :ok = DynamicSupervisor.terminate_child(root, pid) end)
    {:value, (now() - start) / n}
  end

  defp measure("shutdown", n) do
    root = root()
    hooks = :counters.new(1, [:write_concurrency])
    start_all(root, n, {:hooked, hooks}, :temporary)
    start = now()
    Process.unlink(root)
    :ok = DynamicSupervisor.stop(root, :shutdown, :infinity)
    nanos = now() - start

    case :counters.get(hooks, 1) do
      ^n -> {:value, nanos}
      ran -> {:value, nanos, "#{ran} of #{n} hooks ran"}
    end
  end

  defp measure("restart-p50", n), do: restarts(n, 0.5)
  defp measure("restart-p99", n), do: restarts(n, 0.99)

  defp measure("storm", n) do
    runs = :counters.new(1, [:atomics])
    start = now()
    start_all(root(), @storming, {:storming, runs, n, self()}, :permanent)

    receive do
      :enough -> {:value, (now() - start) / n}
    after
      @span ->
        reached = :counters.get(runs, 1)
        note = "of #{reached} restarts in #{div(@span, 1000)}s"
        {:value, (now() - start) / reached, note}
    end
  end

  defp restarts(n, part) do
    table = :ets.new(:crashes, [:public])
    start_all(root(), 1, {:crashing, table, self()}, :permanent)
    pid = receive do: ({:lives, pid} -> pid)
    collect(n, part, pid, [], 0, now())
  end

  defp collect(n, part, pid, values, taken, begin) do
    over = div(now() - begin, 1_000_000) > @span

    if taken == n or over do
      value = Enum.at(Enum.sort(values), trunc((taken - 1) * part))
      if over, do: {:value, value, "of #{taken} restarts in #{div(@span, 1000)}s"}, else: {:value, value}
    else
      send(pid, :crash)

      receive do
        {:restarted, next, nanos} -> collect(n, part, next, [nanos | values], taken + 1, begin)
      after
        @span -> {:wrong, "not restarted"}
      end
    end
  end

  defp root do
    endless = [strategy: :one_for_one, max_restarts: 1_000_000_000, max_seconds: 1]
    {:ok, root} = DynamicSupervisor.start_link(endless)
    root
  end

  defp start_all(root, n, body, restart) do
    for _ <- 1..n do
      {:ok, pid} = DynamicSupervisor.start_child(root, {Figures.Child, {body, restart}})
      pid
    end
  end

  defp list(root, n) do
    start = now()
    children = DynamicSupervisor.which_children(root)
    nanos = now() - start

    case length(children) do
      ^n -> {:value, nanos}
      listed -> {:wrong, "#{listed} of #{n} children listed"}
    end
  end

  defp resident do
    :erlang.garbage_collect()
    [_, pages | _] = String.split(File.read!("/proc/self/statm"), " ")
    String.to_integer(pages) * 4096
  end
end

Figures.main(System.argv())
