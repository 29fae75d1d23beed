-- Three group roles without password or login. Give them to those who log in: grant education_app to my_application.
-- Roles belong to the whole server: other databases may be creating, using and dropping the same ones right now.

-- migrate:up

-- Grants to those of the three roles that exist. Called here, and again by hand when an administrator made them later.
create function grant_education_roles() returns void
language plpgsql as $$
declare
  home     name := current_schema();
  home_oid oid  := (select oid from pg_namespace where nspname = current_schema());
  owner_id oid  := (select relowner from pg_class where oid = 'materials'::regclass);
  roles    text := (select string_agg(quote_ident(rolname), ', ') from pg_roles
                     where rolname in ('education_readonly', 'education_app', 'education_admin'));
  app      boolean := to_regrole('education_app') is not null;
  admin    boolean := to_regrole('education_admin') is not null;
  written  text;
  object   record;
begin
  if roles is null then return; end if;

  if (select pg_has_role(datdba, 'usage') from pg_database where datname = current_database()) then
    execute format('grant connect on database %I to %s', current_database(), roles);
  end if;
  execute format('grant usage on schema %I to %s', home, roles);

  -- What the owner has here: tables and views, not partitions (reached through their parent) and not the audit log.
  for object in
    select oid::regclass as name, relname from pg_class
     where relnamespace = home_oid and relkind in ('r', 'p', 'v', 'm') and not relispartition
       and relowner = owner_id and relname <> 'audit_log'
  loop
    execute format('grant select on %s to %s', object.name, roles);
    written := case
      when object.relname in ('categories', 'users', 'materials', 'tags', 'material_tags', 'permissions', 'user_permissions')
        then 'insert, update, delete'
      when object.relname in ('download_logs', 'view_logs') then 'insert' end;
    if written is not null and app then execute format('grant %s on %s to education_app', written, object.name); end if;
    if written is not null and admin then execute format('grant %s on %s to education_admin', written, object.name); end if;
  end loop;
  for object in
    select oid::regclass as name from pg_class
     where relnamespace = home_oid and relkind = 'S' and relowner = owner_id and relname <> 'audit_log_id_seq'
  loop
    execute format('grant select on sequence %s to %s', object.name, roles);
    if app then execute format('grant usage on sequence %s to education_app', object.name); end if;
    if admin then execute format('grant usage on sequence %s to education_admin', object.name); end if;
  end loop;
  for object in
    select oid::regprocedure as name from pg_proc
     where pronamespace = home_oid and proowner = owner_id
       and proname in ('search_materials', 'refresh_popular_materials', 'has_default_rows')
  loop
    execute format('grant execute on function %s to %s', object.name, roles);
  end loop;
  if admin then
    grant select on audit_log to education_admin;
    grant update on health_thresholds to education_admin;
  end if;

  -- What this user makes from now on.
  execute format('alter default privileges in schema %I grant select on tables to %s', home, roles);
  execute format('alter default privileges in schema %I grant select on sequences to %s', home, roles);
  execute format('alter default privileges in schema %I grant execute on functions to %s', home, roles);
  if app then execute format('alter default privileges in schema %I grant usage on sequences to education_app', home); end if;
  if admin then execute format('alter default privileges in schema %I grant usage on sequences to education_admin', home); end if;

  -- The application writes, but only what it can see; the administrator sees everything.
  if app and not exists (select from pg_policy where polrelid = 'materials'::regclass and polname = 'app_active_materials') then
    create policy app_active_materials on materials for all to education_app using (is_active) with check (is_active);
  end if;
  if admin and not exists (select from pg_policy where polrelid = 'materials'::regclass and polname = 'admin_all_materials') then
    create policy admin_all_materials on materials for all to education_admin using (true) with check (true);
  end if;
end
$$;
select pin_search_path('grant_education_roles()');
revoke execute on function grant_education_roles() from public;
comment on function grant_education_roles() is 'Grants this schema''s rights to education_readonly, education_app and education_admin, those that exist. Repeatable.';

do $$
declare
  wanted  name;
  missing text;
begin
  -- Whatever another database did at the same moment (created, dropped, granted), the next attempt sees the outcome.
  for attempt in 1 .. 20 loop
    begin
      foreach wanted in array array['education_readonly', 'education_app', 'education_admin'] loop
        if to_regrole(wanted::text) is null then
          begin
            execute format('create role %I nologin', wanted);
          exception when insufficient_privilege then null;
          end;
        end if;
      end loop;
      perform grant_education_roles();
      exit;
    exception when duplicate_object or unique_violation or undefined_object or internal_error or deadlock_detected then
      if attempt = 20 then raise; end if;
      perform pg_sleep(random() * 0.1);
    end;
  end loop;

  select string_agg(w, ', ') into missing
    from unnest(array['education_readonly', 'education_app', 'education_admin']) w where to_regrole(w) is null;
  if missing is not null then
    raise warning 'roles not created: % (user "%" may not create roles); everything else is in place. Later, have an administrator run: % and then run: SELECT %.grant_education_roles();',
      missing, current_user, (select string_agg(format('CREATE ROLE %s NOLOGIN;', w), ' ') from unnest(string_to_array(missing, ', ')) w), quote_ident(current_schema());
  end if;
end
$$;

-- migrate:down
drop policy if exists app_active_materials on materials;
drop policy if exists admin_all_materials on materials;

do $$
declare
  home     name := current_schema();
  home_oid oid  := (select oid from pg_namespace where nspname = current_schema());
  role     name;
  object   record;
begin
  foreach role in array array['education_readonly', 'education_app', 'education_admin'] loop
    for attempt in 1 .. 20 loop
      exit when to_regrole(role::text) is null;
      begin
        for object in
          select case when relkind = 'S' then 'sequence ' else '' end || oid::regclass as name, relacl as acl, relowner as owner
            from pg_class where relnamespace = home_oid and relkind in ('r', 'p', 'v', 'm', 'S')
          union all
          select 'function ' || oid::regprocedure, proacl, proowner from pg_proc where pronamespace = home_oid
        loop
          continue when not pg_has_role(object.owner, 'usage')
                     or not exists (select from aclexplode(object.acl) where grantee = to_regrole(role::text));
          execute format('revoke all on %s from %I', object.name, role);
        end loop;
        execute format('revoke all on schema %I from %I', home, role);
        execute format('alter default privileges in schema %I revoke all on tables from %I', home, role);
        execute format('alter default privileges in schema %I revoke all on sequences from %I', home, role);
        execute format('alter default privileges in schema %I revoke all on functions from %I', home, role);
        if (select pg_has_role(datdba, 'usage') from pg_database where datname = current_database()) then
          execute format('revoke connect on database %I from %I', current_database(), role);
        end if;
        begin
          execute format('drop role %I', role);
        exception when dependent_objects_still_exist or insufficient_privilege or object_in_use then null;  -- others use it, or made it
        end;
        exit;
      exception when undefined_object or internal_error or deadlock_detected then
        if attempt = 20 then raise; end if;
        perform pg_sleep(random() * 0.1);
      end;
    end loop;
  end loop;
end
$$;

drop function grant_education_roles();
