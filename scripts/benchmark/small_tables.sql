-- :tables tables of ten rows, each with a key and an index.
select set_config('bench.tables', :'tables', false);
do $$
begin
  for i in 1 .. current_setting('bench.tables')::int loop
    execute format('create table t_%s (id int primary key, name text not null, made_at timestamptz not null)', i);
    execute format($s$insert into t_%s select r, 'row ' || r, timestamptz '2026-01-01 00:00:00+00' from generate_series(1, 10) as r$s$, i);
    execute format('create index on t_%s (name)', i);
    -- Each table holds a lock until its transaction ends.
    if i % 100 = 0 then
      commit;
    end if;
  end loop;
end
$$;
vacuum analyze;
