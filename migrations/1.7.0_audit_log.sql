-- Who changed what. One INSERT a statement, however many rows it changed; for an UPDATE only the keys that changed.

-- migrate:up

create sequence audit_log_id_seq;
create table audit_log (
  id               bigint not null default nextval('audit_log_id_seq'),
  changed_at       timestamptz not null default current_timestamp,
  table_name       varchar(63) not null,
  operation        text not null,
  row_key          text,
  old_values       jsonb,
  new_values       jsonb,
  user_name        varchar(63) not null,
  role_name        varchar(63),
  app_user         text,
  application_name text,
  client_addr      inet,
  transaction_id   xid8 not null,
  primary key (id, changed_at),
  constraint audit_log_operation_known check (operation in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'))
) partition by range (changed_at);
alter sequence audit_log_id_seq owned by audit_log.id;

create table audit_log_default partition of audit_log default;
create index idx_audit_log_row on audit_log (table_name, row_key, changed_at);
select create_month_partitions('audit_log', 0, 3);

-- SECURITY DEFINER: those who change a table may not write its audit log in any other way.
-- The arguments are the columns of the primary key, one or two.
create function audit_trigger() returns trigger
language plpgsql security definer as $$
declare
  -- Once a statement: as column defaults they would be asked for each row.
  caller      name := session_user;
  taken_role  name := nullif(current_setting('role'), 'none');
  app_user    text := nullif(current_setting('app.user_id', true), '');
  application text := nullif(current_setting('application_name'), '');
  address     inet := inet_client_addr();
  transaction xid8 := pg_current_xact_id();
  uninteresting constant text[] := array['view_count', 'download_count', 'updated_at'];
begin
  if tg_op = 'TRUNCATE' then
    insert into audit_log (table_name, operation, user_name, role_name, app_user, application_name, client_addr, transaction_id)
    values (tg_table_name, tg_op, caller, taken_role, app_user, application, address, transaction);

  elsif tg_op = 'INSERT' then
    insert into audit_log (table_name, operation, row_key, new_values,
                           user_name, role_name, app_user, application_name, client_addr, transaction_id)
    select tg_table_name, tg_op, concat_ws(',', j ->> tg_argv[0], j ->> tg_argv[1]), j,
           caller, taken_role, app_user, application, address, transaction
      from (select jsonb_strip_nulls(to_jsonb(r)) as j from new_rows r offset 0) n;

  elsif tg_op = 'DELETE' then
    insert into audit_log (table_name, operation, row_key, old_values,
                           user_name, role_name, app_user, application_name, client_addr, transaction_id)
    select tg_table_name, tg_op, concat_ws(',', j ->> tg_argv[0], j ->> tg_argv[1]), j,
           caller, taken_role, app_user, application, address, transaction
      from (select jsonb_strip_nulls(to_jsonb(r)) as j from old_rows r offset 0) o;

  else
    -- Old and new versions meet by key. A row whose key itself changed meets nobody: both its versions are kept whole.
    insert into audit_log (table_name, operation, row_key, old_values, new_values,
                           user_name, role_name, app_user, application_name, client_addr, transaction_id)
    select tg_table_name, tg_op, coalesce(n.key, o.key), d.old_values, d.new_values,
           caller, taken_role, app_user, application, address, transaction
      from (select j, concat_ws(',', j ->> tg_argv[0], j ->> tg_argv[1]) as key
              from (select to_jsonb(r) - uninteresting as j from old_rows r offset 0) r) o
      full join (select j, concat_ws(',', j ->> tg_argv[0], j ->> tg_argv[1]) as key
              from (select to_jsonb(r) - uninteresting as j from new_rows r offset 0) r) n
        on n.key = o.key
     cross join lateral (
           select case when o.j is not null then jsonb_object_agg(k, o.j -> k) end as old_values,
                  case when n.j is not null then jsonb_object_agg(k, v) end as new_values
             from jsonb_each(coalesce(n.j, o.j)) e (k, v)
            where n.j is null or o.j is null or v is distinct from o.j -> k) d
     where n.j is distinct from o.j;
  end if;
  return null;
end
$$;
select pin_search_path('audit_trigger()');
revoke execute on function audit_trigger() from public;

-- The counter triggers say so in a setting, and run as the owner. Others may set the setting, but are not the owner:
-- hiding a change from the audit takes the right to drop the trigger anyway.
create function acts_as_owner(audited regclass) returns boolean
language sql stable
return current_user = (select pg_get_userbyid(relowner) from pg_class where oid = audited);

-- Four triggers a table: a transition table belongs to one event.
do $$
declare
  audited record;
begin
  for audited in
    select * from (values ('categories', 'id', ''), ('users', 'id', ''), ('tags', 'id', ''), ('permissions', 'id', ''),
                          ('material_tags', 'material_id, tag_id', ''), ('user_permissions', 'user_id, permission_id', ''),
                          ('materials', 'id', 'when (current_setting(''eduschema.counting'', true) is distinct from ''on'' or not acts_as_owner(''materials''))')) v (name, key, condition)
  loop
    execute format('create trigger %1$s_audit_insert after insert on %1$I referencing new table as new_rows for each statement execute function audit_trigger(%2$s)', audited.name, audited.key);
    execute format('create trigger %1$s_audit_update after update on %1$I referencing old table as old_rows new table as new_rows for each statement %3$s execute function audit_trigger(%2$s)', audited.name, audited.key, audited.condition);
    execute format('create trigger %1$s_audit_delete after delete on %1$I referencing old table as old_rows for each statement execute function audit_trigger(%2$s)', audited.name, audited.key);
    execute format('create trigger %1$s_audit_truncate after truncate on %1$I for each statement execute function audit_trigger()', audited.name);
  end loop;
end
$$;

comment on table audit_log is 'Changes of the library''s tables, written by triggers alone. Partitioned by month.';
comment on column audit_log.row_key is 'Primary key of the row; two columns are joined by a comma. Null for TRUNCATE.';
comment on column audit_log.old_values is 'DELETE: the row without nulls. UPDATE: the keys that changed.';
comment on column audit_log.new_values is 'INSERT: the row without nulls. UPDATE: the keys that changed.';
comment on column audit_log.user_name is 'Who was connected (session_user).';
comment on column audit_log.role_name is 'The role taken with SET ROLE, if any.';
comment on column audit_log.app_user is 'Whom the application acted for: set_config(''app.user_id'', ..., true) in the transaction.';
comment on column audit_log.transaction_id is 'Changes made together share it.';
comment on function audit_trigger() is 'Trigger: writes a statement''s changes to audit_log.';
comment on function acts_as_owner(regclass) is 'Whether the current user is the owner of this table itself.';

-- migrate:down
do $$
declare
  audit_trigger record;
begin
  for audit_trigger in
    select tgname, tgrelid::regclass as owner from pg_trigger where tgfoid = 'audit_trigger()'::regprocedure
  loop
    execute format('drop trigger %I on %s', audit_trigger.tgname, audit_trigger.owner);
  end loop;
end
$$;
drop function acts_as_owner(regclass);
drop function audit_trigger();
drop table audit_log;
