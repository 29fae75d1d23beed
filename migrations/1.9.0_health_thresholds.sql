-- Thresholds of check_db_health(). A table rather than settings: everybody can see them, changing one needs no restart
-- and no superuser, and a backup carries them.

-- migrate:up

create table health_thresholds (
  name        varchar(63) primary key,
  value       numeric not null,
  unit        varchar(20) not null,
  description text not null,
  constraint health_thresholds_value_not_negative check (value >= 0)
);

insert into health_thresholds (name, value, unit, description) values
  ('long_running_query',      10, 'minutes', 'A query has been running for longer.'),
  ('idle_in_transaction',      5, 'minutes', 'A session has been idle inside a transaction for longer.'),
  ('connections_warning',     75, 'percent', 'More of max_connections are in use.'),
  ('connections_critical',    90, 'percent', 'More of max_connections are in use.'),
  ('database_size',            5, 'GB',      'The database is larger.'),
  ('partition_runway',        30, 'days',    'Less time is left until a log has no partition of its own.'),
  ('popular_materials_age',   48, 'hours',   'popular_materials was last refreshed longer ago.');

comment on table health_thresholds is 'Limits that check_db_health() compares with. Change value at will.';

-- migrate:down
drop table health_thresholds;
